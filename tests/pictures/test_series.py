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


def lines(figure):
    """The lines of each group by the plot (row, column) that they are in, as their points (T, 2) within the plot."""
    groups = {}
    for collection in figure.axes[0].collections[1:]:  # the first one is of frames
        for points in collection.get_segments():
            place = tuple(int(each) for each in np.nanmin(points, 0)[::-1])
            there = points[~np.isnan(points).any(1)] - place[::-1]
            groups.setdefault(collection.get_label(), {}).setdefault(place, []).append(there)
    return groups


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def lengths(drawn):
    """The number of steps of each line that are there."""
    return [len(points) for points in drawn]


def test_reconstructions_lie_over_the_steps_that_are_there(model, split):
    figure = reconstructed(model, split)
    drawn = lines(figure)
    assert {*drawn} == {"data", "reconstructions"}
    places = [(row, column) for row in range(2) for column in range(2)]
    for group in drawn.values():
        assert sorted(group) == places
        for (_, column), (points,) in group.items():
            assert lengths([points]) == [int(MASK[column].sum())]
    assert {"ECG", "$breath$", "data", "reconstructions"} <= {*texts(figure)}
    for (row, column), (points,) in drawn["data"].items():
        values, heights = split.x[column, MASK[column] > 0, row].numpy(), 1 - points[:, 1]
        assert np.corrcoef(values, heights)[0, 1] > 0.999


def test_each_channel_has_a_scale_of_its_own_which_is_written_beside_it(model):
    x = torch.tensor([[[0.0, 100.0], [1.0, 300.0]], [[2.0, 200.0], [4.0, 150.0]]])
    figure = panels({"samples": x}, ["small", "large"])
    assert texts(figure) == ["small", "4", "0", "large", "300", "100", "0", "1", "step"]
    up = {place: 1 - points[:, 1] for place, (points,) in lines(figure)["samples"].items()}
    assert up[0, 0] == pytest.approx([0.1, 0.3])
    assert up[0, 1] == pytest.approx([0.5, 0.9])
    assert up[1, 0] == pytest.approx([0.1, 0.9])


def test_samples_have_the_lengths_of_the_training_and_heads(model):
    figure = sampled(model, ("a", "b", "c"))
    assert texts(figure)[-3:] == ["a", "b", "c"]
    assert {length for drawn in lines(figure)["samples"].values() for length in lengths(drawn)} <= {2, 5}


def test_data_lie_beside_as_many_samples_of_their_lengths(model, split):
    figure = real_and_sampled(model, split)
    assert texts(figure)[-2:] == ["data (2 series)", "samples (2 series)"]
    for column, name in enumerate(("data", "samples")):
        assert lengths(lines(figure)[name][0, column]) == MASK.sum(1).tolist()


def test_many_channels_are_shown_in_part_and_that_is_said():
    figure = overlays({"data": torch.rand(3, 4, 9)}, [f"c{place}" for place in range(9)])
    assert [place[0] for place in lines(figure)["data"]] == [*range(6)]
    assert "the first 6 of 9 channels" in texts(figure)
    assert len(lines(panels({"samples": torch.rand(30, 4, 1)}, ["v"]))["samples"]) == 12


def test_plots_of_series_are_these(model, split):
    picture = plots.reconstructions(model, split)
    assert picture.ndim == 3
    assert picture.dtype == np.uint8
    assert plots.samples(model).shape[2] == 3
    assert not math.isnan(picture.mean())
