from __future__ import annotations

import numpy as np
import pytest
import torch

from genkit.errors import DataError
from genkit.interfaces import Column
from genkit.interfaces.columns import laid_out
from genkit.pictures.column_pairs import pairs

COLUMNS = laid_out(
    [
        Column(name="size", kind="numeric"),
        Column(name="weight", kind="numeric", mark=0),
        Column(name="grams", kind="numeric", mark=0),
        Column(name="sort", kind="categorical", categories=("a", "b", "c")),
        Column(name="noise", kind="numeric"),
        Column(name="same", kind="numeric"),
    ]
)


def rows(count: int, seed: int) -> torch.Tensor:
    """A table whose weight follows its size, grams its weight, and the sort its size."""
    generator = torch.Generator().manual_seed(seed)
    size, noise, spread = torch.rand(3, count, generator=generator)
    weight = size + 0.2 * spread
    sort = torch.nn.functional.one_hot((size * 3).long().clamp_max(2), 3)
    missing = (torch.arange(count) % 10 == 0).float()
    return torch.stack([size, weight, weight * 1000, *sort.T, noise, torch.ones(count), missing, missing], 1)


def points(axes) -> np.ndarray:
    return np.ma.filled(axes.collections[0].get_offsets().astype(float), np.nan)


def test_each_two_columns_are_drawn_once_for_each_table() -> None:
    data, samples = rows(400, 0), rows(200, 1)
    figure = pairs(COLUMNS, {"data": data, "samples": samples})
    names = [axes.texts[0].get_text() for axes in figure.axes if axes.texts]
    assert names == ["size", "weight", "sort", "noise"]  # grams say what weight says, and the last column is constant
    below, above = figure.axes[4], figure.axes[1]  # weight over size, and size over weight
    assert points(below)[1:10] == pytest.approx(data[1:10, :2].numpy())
    assert points(above)[1:10] == pytest.approx(samples[1:10, [1, 0]].numpy())
    assert (len(points(below)), len(points(above))) == (400, 200)
    assert figure.get_suptitle() == "below the diagonal: data; above it: samples"


def test_missing_values_are_not_drawn() -> None:
    figure = pairs(COLUMNS, {"data": rows(100, 0), "samples": rows(100, 1)})
    assert np.isnan(points(figure.axes[4])).any(1).sum() == 10


def test_categories_have_their_names_and_do_not_hide_each_other() -> None:
    figure = pairs(COLUMNS, {"data": rows(100, 0), "samples": rows(100, 1)})
    axes = figure.axes[8]  # the sort over size
    assert {label.get_text() for label in axes.get_yticklabels()} == {"a", "b", "c"}
    heights = points(axes)[:, 1]
    assert np.abs(heights - heights.round()).max() < 0.31
    assert len(np.unique(heights)) == 100


def test_columns_that_say_the_same_are_no_pair() -> None:
    columns = laid_out([Column(name="one", kind="numeric"), Column(name="same", kind="numeric")])
    values = torch.arange(20.0).expand(2, -1).T
    with pytest.raises(DataError, match="fewer than two columns vary"):
        pairs(columns, {"data": values, "samples": values})
