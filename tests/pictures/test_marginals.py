"""The columns of tables side by side."""

from __future__ import annotations

import pytest
import torch
from matplotlib.container import BarContainer
from matplotlib.patches import StepPatch

from genkit.interfaces import Column, Schema, Side, Split
from genkit.interfaces.columns import laid_out
from genkit.pictures.marginals import marginals, real_and_sampled
from tests.models import built

COLUMNS = laid_out(
    [
        Column(name="port", kind="categorical", categories=("C", "S"), mark=0),
        Column(name="fare", kind="numeric", mark=0),
        Column(name="same", kind="constant", categories=("x",)),
        Column(name="born", kind="date", form="%Y-%m-%d"),
    ]
)
ONE = torch.tensor([[1.0, 0, 5, 0, 0, 0], [1, 0, 5, 0, 0, 0], [0, 1, 7, 365, 0, 0], [0, 0, 0, 365, 1, 1]])
OTHER = torch.tensor([[0.0, 1, 5, 0, 0, 1]])


def test_each_column_that_varies_has_its_shares() -> None:
    figure = marginals(COLUMNS, {"data": ONE, "samples": OTHER})
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["port", "fare (missing: 25%, 100%)", "born"]
    bars = [container for container in figure.axes[0].containers if isinstance(container, BarContainer)]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["C", "S", "missing"]
    assert [[patch.get_width() for patch in each] for each in bars] == [[0.5, 0.25, 0.25], [0, 1, 0]]
    fares = [patch for patch in figure.axes[1].patches if isinstance(patch, StepPatch)]
    heights = [patch.get_data().values.tolist() for patch in fares]
    assert (heights[0][0], heights[0][-1], sum(heights[1])) == (pytest.approx(2 / 3), pytest.approx(1 / 3), 0)
    assert figure.axes[2].get_xlim()[0] == pytest.approx(1970, abs=0.1)


def test_rare_categories_are_one_bar() -> None:
    names = tuple(f"c{number:02}" for number in range(30))
    columns = laid_out([Column(name="c", kind="categorical", categories=names)])
    x = torch.cat([torch.eye(30), torch.eye(30)[:3]])
    axes = marginals(columns, {"data": x}).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert (len(labels), labels[:3], labels[-1]) == (12, ["c00", "c01", "c02"], "others")
    assert sum(patch.get_width() for patch in axes.patches) == pytest.approx(1)


@pytest.mark.parametrize("condition", [[], ["labels"]])
def test_rows_with_labels_are_compared_whether_or_not_the_model_reads_these(condition: list[str]) -> None:
    schema = Schema((6,), {"labels": Side(classes=2)}, columns=COLUMNS)
    with torch.random.fork_rng():
        model = built(schema, likelihood="mixed", condition=condition).eval()
    tables = real_and_sampled(model, Split(ONE, torch.tensor([0, 1, 1, 0])))
    assert {name: table.shape for name, table in tables.items()} == {"data": ONE.shape, "samples": ONE.shape}
