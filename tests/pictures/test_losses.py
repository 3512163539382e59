"""Curves of losses."""

from __future__ import annotations

from pathlib import Path

import pytest

from genkit.pictures.losses import losses
from genkit.pictures.saving import save
from genkit.record.scores import EpochRecord, Scores
from tests.pictures.test_plots import record


@pytest.mark.parametrize("validation", [True, False])
def test_losses_show_the_objective_and_each_term(validation: bool) -> None:
    history = [record(epoch, validation) for epoch in (1, 2, 3)]
    figure = losses(history)
    shown = {axes.get_title(): [list(line.get_ydata()) for line in axes.lines] for axes in figure.axes}
    splits = [[one.train for one in history], [one.validation for one in history]][: 1 + validation]
    assert shown == {
        "objective": [[scores.loss for scores in part] for part in splits],
        "reconstruction": [[scores.terms["reconstruction"] for scores in part] for part in splits],
        "kl": [[scores.terms["kl"] for scores in part] for part in splits],
    }
    assert [list(line.get_xdata()) for line in figure.axes[0].lines] == [[1, 2, 3]] * len(splits)


def test_names_of_terms_are_drawn_as_they_are(tmp_path: Path) -> None:
    scores = Scores(1.0, {"$a_$b$": 2.0}, {"_c\x1b": 3.0}, None, None, None)
    figure = losses([EpochRecord(1, 1, 1.0, 1.0, 1e-3, {"$a_$b$": 1}, scores, scores)])
    assert [axes.get_title() for axes in figure.axes] == ["objective", "$a_$b$", r"critic of _c\x1b"]
    save(figure, tmp_path / "loss.png")


def falling(epochs: int, first: float, term: float = 1.0) -> list[EpochRecord]:
    """A history whose loss falls from 2 to 1, but for the first epoch; its one term is a share of it."""
    history = []
    for epoch in range(1, epochs + 1):
        loss = first if epoch == 1 else 2.0 - epoch / epochs
        scores = Scores(loss, {"reconstruction": term * loss}, {}, None, None, None)
        history.append(EpochRecord(epoch, epoch, 1.0, 1.0, 1e-3, {"reconstruction": 1.0}, scores, None))
    return history


@pytest.mark.parametrize(("first", "text"), [(100.0, "↑ 100 at epoch 1"), (-7000.0, "↓ -7,000 at epoch 1")])
def test_a_first_epoch_far_off_squashes_no_others_and_is_told_of(first: float, text: str) -> None:
    axes = losses(falling(20, first)).axes[0]
    low, high = axes.get_ylim()
    assert 0.9 < low < 1.0
    assert 1.9 < high < 2.0
    assert [each.get_text() for each in axes.texts] == [text]
    assert axes.lines[0].get_ydata()[0] == first


@pytest.mark.parametrize(("epochs", "first"), [(20, 2.1), (2, 100.0), (1, 1.0)])
def test_a_first_epoch_that_squashes_nothing_is_shown(epochs: int, first: float) -> None:
    axes = losses(falling(epochs, first)).axes[0]
    low, high = axes.get_ylim()
    assert low < first < high
    assert list(axes.texts) == []


def test_a_term_that_is_the_whole_objective_is_drawn_once() -> None:
    assert [axes.get_title() for axes in losses(falling(5, 2.0)).axes] == ["objective = reconstruction"]
    assert [axes.get_title() for axes in losses(falling(5, 2.0, 0.5)).axes] == ["objective", "reconstruction"]


def test_many_terms_take_several_rows() -> None:
    terms = {f"term {number}": float(number + 2) for number in range(6)}
    scores = Scores(1.0, terms, {}, None, None, None)
    figure = losses([EpochRecord(1, 1, 1.0, 1.0, 1e-3, dict.fromkeys(terms, 1.0), scores, None)])
    assert len(figure.axes) == 7
    assert tuple(figure.get_size_inches()) == pytest.approx((12.0, 9.6))
