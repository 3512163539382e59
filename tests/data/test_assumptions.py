"""What is said of data: their scale, their layout, and what is doubtful, with remedies that work."""

import numpy as np
import pytest
import torch

from genkit.data import assumptions, loading
from genkit.data.dataset import Dataset
from genkit.data.scaling import Scaling
from genkit.interfaces import Split
from genkit_data import Arrays


def data(x, **more):
    return Dataset(Split(x, None), None, None, None, False, **more)


def doubts(x):
    return assumptions.doubts(data(x), data(x).range())


def byte_data(largest, *shape):
    x = torch.zeros(4, *shape or (1, 8, 8), dtype=torch.uint8)
    x[0] = largest  # beside black ones
    return x


@pytest.mark.parametrize(
    ("x", "scale", "layout"),
    [
        (byte_data(255), "bytes, read as x / 255", "1×8×8 as (C, H, W), 1 channel of 8×8"),
        (torch.rand(4, 3, 5, 6), "numbers as they are", "3×5×6 as (C, H, W), 3 channels of 5×6"),
        (torch.rand(4, 50, 3), "numbers as they are", "50×3 as (T, F), 50 steps of 3 values"),
        (torch.rand(4, 7), "numbers as they are", "rows of 7 values"),
        (torch.rand(4, 1, 2, 3, 4), "numbers as they are", "1×2×3×4 as (C, D, H, W), 1 channel of 2×3×4"),
    ],
    ids=["bytes", "images", "sequences", "rows", "volumes"],
)
def test_scale_and_layout_are_said_before_what_the_source_says(x, scale, layout):
    assert assumptions.notes(data(x, notes=("a", "b"))) == [scale, layout, "a", "b"]


@pytest.mark.parametrize(("largest", "doubtful"), [(1, True), (16, True), (31, True), (32, False)])
def test_bytes_that_are_hardly_shares_of_255_are_doubted(largest, doubtful):
    assert [f"the largest byte is {largest}" in each for each in doubts(byte_data(largest))] == [True] * doubtful


def test_the_remedy_for_bytes_of_0_and_1_works(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (30, 1, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", x=x)
    (doubt,) = doubts(torch.from_numpy(x))
    assert "if they are 0 and 1, data.range=[0,1]" in doubt
    loaded = loading.load(Arrays.Config(path=str(tmp_path / "a.npz"), range=(0, 1), validation=0, test=0))
    assert torch.equal(loaded.train.x, torch.from_numpy(x).float())
    assert assumptions.doubts(loaded, loaded.range()) == []


@pytest.mark.parametrize(
    ("x", "doubt"),
    [
        (torch.rand(4, 32, 32, 3), "if the channels are last, move them first: x.transpose(0, 3, 1, 2)"),
        (torch.rand(4, 16, 32, 32), "if the first axis is time, join the others: x.reshape(len(x), 16, -1)"),
        (torch.rand(4, 28, 28), "if it is a grey image, give it a channel: x[:, None]"),
        (byte_data(255, 48, 24), "if it is a grey image, give it a channel: x[:, None]"),
        (torch.rand(4, 3, 100), "if the second axis is time, swap them: x.transpose(0, 2, 1)"),
    ],
    ids=["last", "video", "square", "bytes", "time"],
)
def test_layouts_that_may_be_meant_otherwise_are_doubted(x, doubt):
    (line,) = doubts(x)
    assert line.startswith(f"a datum of {'×'.join(map(str, x.shape[1:]))} is read as ")
    assert line.endswith(doubt)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (4, 9, 3), (64, 1), (29, 12), (2, 4), (42,)], ids=str)
def test_usual_layouts_are_not_doubted(shape):
    assert doubts(torch.rand(4, *shape)) == []


def test_the_extent_of_unscaled_columns_is_named_with_a_remedy_that_works():
    x = torch.rand(50, 3) * torch.tensor([1.0, 4e8, 90.0])
    x[0, 1], x[1, 1] = 0, 4e8
    (doubt,) = doubts(x)
    assert "(column 1 from 0 to 4e+08; 1 of 3 columns pass ±100)" in doubt
    assert "data.standardize=true" in doubt
    assert "data.range" not in doubt
    scaling = Scaling.of(x)
    scaled = data(scaling.apply(x), scaling=scaling)
    assert assumptions.doubts(scaled, scaled.range()) == []
    assert assumptions.notes(scaled)[0].startswith("each column standardized")


@pytest.mark.parametrize(("low", "high"), [(0, 255), (1e6, 1e6 + 5)])
def test_one_range_is_a_remedy_where_it_fits_all_columns(low, high):
    x = torch.tensor([[low], [high]]).float().expand(2, 3)
    (doubt,) = doubts(x)
    assert f"data.range=[{low:.9g},{high:.9g}]" in doubt


def test_what_the_source_doubts_comes_first():
    doubtful = data(torch.rand(4, 28, 28), doubts=("the source's own",))
    assert assumptions.doubts(doubtful, (0, 1))[0] == "the source's own"
