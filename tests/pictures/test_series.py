"""Pictures of series."""

import math

import numpy as np
import pytest
import torch

from genkit.interfaces import Schema, Side, Split
from genkit.pictures import plots
from genkit.pictures.series import overlays, panels, real_and_sampled, reconstructed, sampled
from tests.models import built

MASK = torch.tensor([[1.0, 1, 1, 1, 0], [1, 1, 0, 0, 0]])


@pytest.fixture
def model():
    schema = Schema((5, 2), {"mask": Side((5,))}, channels=("ECG", "$breath$"), lengths=(0, 0, 7, 0, 0, 3))
    return built(schema)


@pytest.fixture
def split():
    return Split(torch.rand(2, 5, 2), None, {"mask": MASK})


def lines(axes):
    return {line.get_label(): line.get_ydata() for line in axes.lines}


def test_reconstructions_lie_over_the_steps_that_are_there(model, split):
    figure = reconstructed(model, split)
    grid = np.array(figure.axes).reshape(2, 2)
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["ECG", "$breath$"]
    for column in range(2):
        for row in range(2):
            drawn = lines(grid[row, column])
            assert {*drawn} == {"data", "reconstructions"}
            for values in drawn.values():
                assert np.array_equal(~np.isnan(values), MASK[column].numpy() > 0)
            kept = MASK[column] > 0
            assert np.allclose(drawn["data"][kept], split.x[column, kept, row])


def test_samples_have_the_lengths_of_the_training_and_heads(model):
    grid = sampled(model, ("a", "b", "c")).axes
    assert [axes.get_title() for axes in grid[:3]] == ["a", "b", "c"]
    lengths = {int((~np.isnan(axes.lines[0].get_ydata())).sum()) for axes in grid}
    assert lengths <= {2, 5}


def test_data_lie_beside_as_many_samples_of_their_lengths(model, split):
    real, drawn = real_and_sampled(model, split).axes[:2]
    assert (real.get_title(), drawn.get_title()) == ("data (2 series)", "samples (2 series)")
    for axes in (real, drawn):
        assert [int((~np.isnan(line.get_ydata())).sum()) for line in axes.lines] == MASK.sum(1).tolist()


def test_many_channels_are_shown_in_part_and_that_is_said():
    figure = overlays({"data": torch.rand(3, 4, 9)}, [f"c{place}" for place in range(9)])
    assert len(figure.axes) == 6
    assert figure.get_supxlabel() == "step (the first 6 of 9 channels)"
    assert len(panels({"samples": torch.rand(30, 4, 1)}, ["v"]).axes) == 12


def test_plots_of_series_are_these(model, split):
    picture = plots.reconstructions(model, split)
    assert picture.ndim == 3
    assert picture.dtype == np.uint8
    assert plots.samples(model).shape[2] == 3
    assert not math.isnan(picture.mean())
