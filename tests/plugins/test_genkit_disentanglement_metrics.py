"""The metrics of disentanglement on codes that are the factors, turned, or random; and data whose factors are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.metrics import mutual_info_score
from torch import Tensor

from genkit.errors import DataError, MetricError
from genkit.evaluation.metrics import check
from genkit.interfaces import MetricData, Split
from genkit.runs.opening import as_config, prepare
from genkit.runs.running import run
from genkit_disentanglement import DCI, MIG, SAP, FactorScore, Smoothness, Sprites
from tests.models import PARTS

FACTORS = {"labels": 2, "hue": 4, "width": 5}
"""The numbers of classes of the factors; data are all combinations, some times."""
TIMES = 25
PERFECT_SAP = 1 - np.mean([1 / count for count in FACTORS.values()])


def grid() -> Tensor:
    """All combinations of the factors, some times, in random order: (N, F)."""
    every = torch.tensor([*itertools.product(*map(range, FACTORS.values()))]).repeat(TIMES, 1)
    return every[torch.randperm(len(every), generator=torch.Generator().manual_seed(0))]


def split_of(codes: Tensor, factors: Tensor) -> Split:
    side = {name: factors[:, place] for place, name in enumerate(FACTORS) if name != "labels"}
    return Split(codes, factors[:, 0], side)


def measured(metric: Any, codes: Tensor, factors: Tensor | None = None, seed: int = 0) -> dict[str, float]:
    """The figures of a model that encodes each datum as itself; the same data are trained on and measured."""
    split = split_of(codes, grid() if factors is None else factors)
    model: Any = SimpleNamespace(encode=lambda each: each.x)
    nothing: Any = None
    return dict(metric.measure(model, MetricData(split, split, None, nothing, nothing), seed))


def perfect() -> Tensor:
    """A code whose latents are the factors, each in its own units, with a fourth that is noise."""
    factors = grid().double()
    noise = torch.randn(len(factors), 1, generator=torch.Generator().manual_seed(1)).double()
    return torch.cat([factors[:, [1]] * 3 - 1, -factors[:, [0]], factors[:, [2]] / 2, noise], 1)


def standardized(codes: Tensor) -> Tensor:
    return (codes - codes.mean(0)) / codes.std(0)


def turned() -> Tensor:
    """The same code, in which each latent mixes all of them."""
    generator = torch.Generator().manual_seed(2)
    turn, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))
    return standardized(perfect()) @ turn


def noise() -> Tensor:
    return torch.randn(len(grid()), 4, generator=torch.Generator().manual_seed(3)).double()


METRICS = {
    "mig": (MIG(MIG.Config()), "gap", 1.0),
    "disentanglement": (DCI(DCI.Config(trees=10)), "disentanglement", 1.0),
    "completeness": (DCI(DCI.Config(trees=10)), "completeness", 1.0),
    "sap": (SAP(SAP.Config()), "gap", PERFECT_SAP),
    "factor_score": (FactorScore(FactorScore.Config(votes=200)), "accuracy", 1.0),
}
"""Each metric, its figure, and the figure of a code whose latents are the factors."""


@pytest.mark.parametrize("name", METRICS)
def test_a_code_that_is_the_factors_scores_best_a_turned_one_less_and_noise_nothing(name: str) -> None:
    metric, key, best = METRICS[name]
    figures = {each.__name__: measured(metric, each())[key] for each in (perfect, turned, noise)}
    assert figures["perfect"] == pytest.approx(best, abs=0.06)  # the second best latent is noise, and tells something
    assert figures["noise"] < figures["turned"] < 0.9 * best
    chance = 1 / len(FACTORS) if name == "factor_score" else 0.0
    assert figures["noise"] == pytest.approx(chance, abs=0.15)


def test_the_gap_is_that_of_the_mutual_informations_of_a_table() -> None:
    """Two latents of three values and two factors, with counts by hand."""
    table = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1], [1, 0, 1, 0], [2, 2, 1, 2], [2, 1, 0, 1]])
    rows = table.repeat_interleave(torch.tensor([4, 1, 5, 2, 3, 2]), 0)
    codes, factors = rows[:, :2].double(), rows[:, 2:]
    gaps = []
    for place in (0, 1):
        factor = factors[:, place].numpy()
        informations = sorted(mutual_info_score(codes[:, each].numpy(), factor) for each in (0, 1))
        gaps.append((informations[1] - informations[0]) / scipy.stats.entropy(np.bincount(factor)))
    split = Split(codes, factors[:, 0], {"hue": factors[:, 1]})
    model: Any = SimpleNamespace(encode=lambda each: each.x)
    nothing: Any = None
    figures = MIG(MIG.Config(bins=3)).measure(model, MetricData(split, split, None, nothing, nothing), 0)
    assert figures["gap"] == pytest.approx(np.mean(gaps))
    assert 0 < figures["gap"] < 1


def test_the_figures_of_importances_are_those_of_their_entropies(monkeypatch: pytest.MonkeyPatch) -> None:
    importances = np.array([[0.7, 0.1, 0.0], [0.1, 0.1, 0.9], [0.2, 0.6, 0.1], [0.0, 0.2, 0.0]])
    columns = iter(importances.T)

    class Forest:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.feature_importances_ = next(columns)

        def fit(self, *_: Any) -> None: ...

        def score(self, *_: Any) -> float:
            return 0.25

    monkeypatch.setattr("sklearn.ensemble.RandomForestClassifier", Forest)
    figures = measured(DCI(DCI.Config()), noise())
    single = 1 - scipy.stats.entropy(importances, axis=1, base=3)
    assert figures["disentanglement"] == pytest.approx(np.average(single, weights=importances.sum(1)))
    assert figures["completeness"] == pytest.approx(np.mean(1 - scipy.stats.entropy(importances, axis=0, base=4)))
    assert figures["informativeness"] == 0.25


def test_the_votes_leave_collapsed_latents_out_and_are_drawn_by_the_seed() -> None:
    metric = FactorScore(FactorScore.Config(votes=100))
    collapsed = torch.cat([perfect(), torch.full((len(grid()), 1), 3.0).double()], 1)
    assert measured(metric, collapsed)["accuracy"] == 1.0
    scores = [measured(metric, turned(), seed=seed)["accuracy"] for seed in (0, 0, 1, 2, 3)]
    assert scores[0] == scores[1]
    assert len({*scores}) > 1
    assert measured(metric, perfect() / 100)["accuracy"] == 1.0  # all vary less than a posterior's mean would


def test_a_factor_that_does_not_vary_is_left_out_and_a_chosen_one_is_read_alone() -> None:
    factors = grid()
    assert measured(MIG(MIG.Config(factors=("hue", "width"))), perfect())["gap"] == pytest.approx(1, abs=0.06)
    factors[:, 0] = 1
    assert measured(MIG(MIG.Config()), perfect(), factors)["gap"] == pytest.approx(1, abs=0.06)
    factors[:, 1] = 0
    with pytest.raises(DataError, match="factors: of labels, hue, width 1 vary in the data, and several have to"):
        measured(MIG(MIG.Config()), perfect(), factors)
    with pytest.raises(DataError, match="there is no factor 'colour'; there are labels, hue, width"):
        measured(MIG(MIG.Config(factors=("colour",))), perfect())
    with pytest.raises(DataError, match="it compares latent dimensions, and the model has one"):
        measured(MIG(MIG.Config()), perfect()[:, :1])


@pytest.mark.parametrize("metric", ["mig", "dci", "sap", "factor_score"])
def test_data_without_factors_are_refused_before_training(metric: str) -> None:
    config = as_config({**PARTS, "metrics": [metric]})
    said = (
        f"metric '{metric}' needs factors, several classes per datum .*, and the data have labels alone: of labels with"
    )
    with pytest.raises(MetricError, match=said):
        prepare(config)
    data, model = prepare(as_config(PARTS))
    bare = data._replace(train=Split(data.train.x, None))
    with pytest.raises(MetricError, match="and the data have no classes"):
        check(model, bare, config.metrics)


@pytest.mark.filterwarnings("ignore:the (test|validation) split has")
def test_factors_of_arrays_are_measured_after_a_run(bare: None, tmp_path: Any) -> None:
    factors = grid()[:200]
    np.savez(tmp_path / "data.npz", x=perfect()[:200].float().numpy(), labels=factors.numpy())
    source = {"name": "arrays", "path": str(tmp_path / "data.npz"), "label": "hue"}
    config = {**PARTS, "data": source | {"factors": ["form", "hue", "width"]}, "metrics": ["mig", "smoothness"]}
    figures = run({**config, "training": {"epochs": 1}}, out=tmp_path / "run").evaluation.metrics
    assert 0 <= figures["mig"]["gap"] <= 1
    assert 0 < figures["smoothness"]["evenness"] <= 1


# Traversals


def traversed(decode: Callable[[Tensor], Tensor], steps: int = 8, latents: int = 2) -> dict[str, float]:
    z = torch.rand(100, latents, generator=torch.Generator().manual_seed(0))
    model: Any = SimpleNamespace(encode=lambda each: each.x, decode=decode)
    split, nothing = Split(z, None), None
    data = MetricData(split, split, None, nothing, nothing)  # type: ignore[arg-type]
    return dict(Smoothness(Smoothness.Config(steps=steps)).measure(model, data, 0))


def test_data_that_change_along_lines_are_even_and_straight() -> None:
    weights = torch.randn(2, 5, generator=torch.Generator().manual_seed(1))
    assert traversed(lambda z: z @ weights) == pytest.approx({"evenness": 1, "straightness": 1}, abs=1e-3)


def test_data_that_jump_once_are_uneven() -> None:
    figures = traversed(lambda z: (z > 0.5).float(), steps=8)
    assert figures == pytest.approx({"evenness": 1 / 8, "straightness": 1})


def test_data_on_a_circle_are_even_and_as_straight_as_a_chord() -> None:
    def decode(z: Tensor) -> Tensor:
        turn = z[:, 0] * math.pi
        return torch.stack([turn.cos(), turn.sin()], 1)

    figures = traversed(decode, steps=200, latents=1)
    z = torch.rand(100, 1, generator=torch.Generator().manual_seed(0))
    angle = float(torch.quantile(z, 0.95) - torch.quantile(z, 0.05)) * math.pi
    assert figures == pytest.approx({"evenness": 1, "straightness": 2 * math.sin(angle / 2) / angle}, rel=1e-3)


def test_latents_that_change_nothing_have_no_traversal() -> None:
    assert traversed(lambda z: z[:, :1] * 0) == {}
    assert traversed(lambda z: z[:, :1]) == pytest.approx({"evenness": 1, "straightness": 1}, abs=1e-3)


# Sprites


@pytest.fixture(scope="module")
def sprites() -> Any:
    config = {"size": 32, "positions": 3, "lengths": 2, "angles": 4}
    return Sprites(Sprites.Config.model_validate(config)).load()


def test_each_combination_of_factors_is_one_sprite(sprites: Any) -> None:
    split = sprites.train
    assert split.x.shape == (2 * 3 * 3 * 2 * 4, 1, 32, 32)
    rows = torch.stack([split.labels, *split.side.values()], 1)
    assert len(rows.unique(dim=0)) == len(rows)
    assert [*split.side] == ["x", "y", "length", "angle"]
    assert {name: side.classes for name, side in sprites.side.items()} == {"x": 3, "y": 3, "length": 2, "angle": 4}
    assert sprites.classes == ("rectangle", "ellipse")
    assert [*split.classified()] == ["labels", "x", "y", "length", "angle"]
    assert len(split.x.flatten(1).unique(dim=0)) == len(rows)


def test_sprites_have_the_area_the_place_and_the_turn_of_their_factors(sprites: Any) -> None:
    x, side = sprites.train.x[:, 0].double(), sprites.train.side
    long = torch.tensor([0.25, 0.5]).double()[side["length"]] * 16  # half a long axis in pixels
    area = torch.where(sprites.train.labels == 0, 2 * long.square(), math.pi / 2 * long.square())
    torch.testing.assert_close(x.sum((1, 2)), area, rtol=0.04, atol=0)
    places = torch.arange(32).double()
    for name, axis in (("x", 1), ("y", 2)):
        centre = (x.sum(axis) * places).sum(1) / x.sum((1, 2))
        torch.testing.assert_close(centre, 15.5 + (side[name].double() - 1) * 8, rtol=0, atol=0.1)
    middle = (side["x"] == 1) & (side["y"] == 1)
    for angle in (0, 1):
        upright, lying = (x[middle & (side["angle"] == each)] for each in (angle, angle + 2))
        torch.testing.assert_close(torch.rot90(upright, -1, (1, 2)), lying, rtol=0, atol=0.3)


def test_a_single_step_of_a_factor_is_in_the_middle() -> None:
    split = Sprites(Sprites.Config(positions=1, lengths=1, angles=1)).load().train
    assert len(split.x) == 2
    torch.testing.assert_close(split.x, split.x.flip(2))
    torch.testing.assert_close(split.x, split.x.flip(3))
