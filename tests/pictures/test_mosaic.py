"""Data side by side in one picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from genkit.interfaces import Shape
from genkit.pictures.mosaic import apart, framed, is_image, mosaic

GAP = [60, 60, 60]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        yield


def grey(value: float) -> list[int]:
    return [round(255 * value)] * 3


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 2, 2), True),
        ((3, 5, 6), True),
        ((8, 8), False),
        ((28, 9), False),
        ((7, 30), False),
        ((2, 8, 8), False),
        ((64,), False),
        ((1, 2, 8, 8), False),
    ],
)
def test_which_data_are_images(shape: Shape, expected: bool) -> None:
    assert is_image(shape) is expected


def test_grey_images_are_enlarged_and_lie_row_by_row() -> None:
    x = torch.tensor([[[[0.0, 0.2], [0.4, 1.0]]], [[[0.6, 0.6], [0.6, 0.6]]], [[[0.8, 0.8], [0.8, 0.8]]]])
    picture = mosaic(x, columns=2, limits=(0, 1))
    assert picture.shape == (2 * 58 + 2, 2 * 58 + 2, 3)  # cells of 2x2, enlarged 28 times
    assert picture.dtype == np.uint8
    first = picture[2:58, 2:58]
    for (row, column), value in (((0, 0), 0.0), ((0, 1), 0.2), ((1, 0), 0.4), ((1, 1), 1.0)):
        block = first[28 * row : 28 * row + 28, 28 * column : 28 * column + 28]
        assert (block == grey(value)).all()
    assert (picture[2:58, 60:116] == grey(0.6)).all()
    assert (picture[60:116, 2:58] == grey(0.8)).all()
    assert (picture[60:116, 60:116] == GAP).all()  # there is no fourth datum
    assert (picture[:2] == GAP).all()
    assert (picture[:, 58:60] == GAP).all()


def test_the_gap_is_as_wide_as_asked_for_and_large_images_keep_their_size() -> None:
    picture = mosaic(torch.ones(2, 1, 60, 57), columns=2, limits=(0, 1), gap=1)
    assert picture.shape == (62, 2 * 58 + 1, 3)
    assert (picture[1:61, 1:58] == 255).all()
    assert picture[0, 0].tolist() == picture[30, 58].tolist() == GAP


def test_colour_images_keep_their_channels() -> None:
    x = torch.zeros(1, 3, 2, 2)
    x[0, :, 0, 0], x[0, :, 1, 1] = torch.tensor([1.0, 0.2, 0.4]), torch.tensor([0.0, 0.6, 0.8])
    picture = mosaic(x, columns=1, limits=(0, 1))
    assert picture[2, 2].tolist() == [255, 51, 102]
    assert picture[57, 57].tolist() == [0, 153, 204]
    assert picture[2, 57].tolist() == [0, 0, 0]


def test_limits_are_black_and_white_and_what_lies_outside_is_cut() -> None:
    x = torch.tensor([[[[-3.0, -1.0], [0.0, 7.0]]]])
    picture = mosaic(x, 1, (-1, 1))
    assert [int(picture[row, column, 0]) for row, column in ((2, 2), (2, 40), (40, 2), (40, 40))] == [0, 0, 128, 255]


def test_data_of_a_single_value_can_be_shown() -> None:
    assert (mosaic(torch.full((1, 1, 2, 2), 0.5), 1, (0.5, 0.5))[2:58, 2:58] == 0).all()


def height(cell: np.ndarray[Any, Any], colour: tuple[int, int, int] = (31, 119, 180)) -> float:
    """How far up the line of a colour (the first curve's) lies on average, from 0 to 1; a cell's frame is black."""
    found = (np.abs(cell.astype(int) - colour) < 40).all(2)
    return 1 - float(np.nonzero(found)[0].mean()) / len(cell)


@pytest.mark.parametrize("shape", [(20,), (20, 1), (1, 5, 2, 2)])
def test_other_data_are_curves_on_a_common_scale(shape: Shape) -> None:
    x = torch.stack([torch.full(shape, value) for value in (0.25, 0.75, 0.0)])
    x[2].view(-1)[-1] = 1  # the third goes over the whole scale
    picture = mosaic(x, columns=2, limits=(0, 1))
    assert picture.shape == (140, 180, 3)
    assert height(picture[:70, :90]) == pytest.approx(0.25, abs=0.1)
    assert height(picture[:70, 90:]) == pytest.approx(0.75, abs=0.1)
    assert (picture[72:, 90:] == 255).all()  # there is no fourth datum


def test_a_datum_of_several_curves_shows_each() -> None:
    x = torch.tensor([0.2, 0.8, 0.0, 1.0]).reshape(1, 1, 4).repeat(1, 12, 1)  # (1, 12 steps, 4 curves)
    picture = mosaic(x, 1, (0, 1))
    assert height(picture) == pytest.approx(0.2, abs=0.1)
    assert height(picture, (255, 127, 14)) == pytest.approx(0.8, abs=0.1)


def test_the_first_axis_of_a_series_is_time_however_short() -> None:
    x = torch.zeros(1, 2, 12)
    x[0, :, 0] = torch.tensor([0.0, 1.0])  # the first channel rises over two steps, the others lie below it
    up = [height(cell) for cell in np.array_split(mosaic(x, 1, (0, 1)), 4, axis=1)[1:3]]
    assert up[0] < up[1] - 0.2


def test_a_framed_picture_is_shown_pixel_for_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 400, 3), dtype=np.uint8)
    framed(pixels, "short").savefig(tmp_path / "framed.png")
    shown = np.asarray(Image.open(tmp_path / "framed.png").convert("RGB"))
    assert np.array_equal(shown[-90:], pixels)


def test_heads_stand_above_the_middles_of_their_columns(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 400, 3), dtype=np.uint8)
    framed(pixels, "t" * 50, ["|", "|", "|", "|"]).savefig(tmp_path / "framed.png")
    shown = np.asarray(Image.open(tmp_path / "framed.png").convert("RGB"))
    left = (shown.shape[1] - 400) // 2
    assert np.array_equal(shown[-90:, left : left + 400], pixels)
    (marked,) = np.nonzero((shown[-110:-92, :, 0] < 128).any(0))
    assert sorted({round((x - left) / 100 - 0.5) for x in marked}) == [0, 1, 2, 3]
    assert all(abs((x - left) % 100 - 50) < 4 for x in marked)


def test_a_head_is_no_wider_than_its_column() -> None:
    figure = framed(np.zeros((20, 120, 3), dtype=np.uint8), "title", ["short", "much longer than sixty pixels"])
    drawn = FigureCanvasAgg(figure).get_renderer()
    title, short, long = (text.get_window_extent(drawn) for text in figure.texts)
    assert short.x1 < long.x0
    assert long.x1 <= figure.bbox.x1
    assert max(short.y1, long.y1) < title.y0


def test_what_belongs_to_rows_stands_beside_them_and_below_columns() -> None:
    figure = framed(np.zeros((100, 200, 3), np.uint8), "", rows=["a", "bb"], ends=["c", "d"], feet=["1", "2"])
    drawn = FigureCanvasAgg(figure).get_renderer()
    (image,), boxes = figure.images, {text.get_text(): text.get_window_extent(drawn) for text in figure.texts}
    left, bottom = image.ox, image.oy
    assert max(boxes["a"].x1, boxes["bb"].x1) < left
    assert min(boxes["c"].x0, boxes["d"].x0) > left + 200
    assert boxes["a"].y0 > boxes["bb"].y1
    assert abs((boxes["a"].y0 + boxes["a"].y1) / 2 - (bottom + 75)) < 4
    assert max(boxes["1"].y1, boxes["2"].y1) < bottom
    assert abs((boxes["1"].x0 + boxes["1"].x1) / 2 - (left + 50)) < 2
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes.values())


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5])
def test_rows_that_belong_together_are_set_apart_from_others(rows: int) -> None:
    pixels = np.repeat(np.arange(rows, dtype=np.uint8), 10)[:, None, None] * np.ones((1, 3, 3), np.uint8)
    spread = apart(pixels, rows, together=2, gap=7)
    groups = (rows + 1) // 2
    assert len(spread) == 10 * rows + 7 * (groups - 1)
    assert np.array_equal(spread[spread[:, 0, 0] < 255], pixels)
    assert (spread[20:27] == 255).all() or groups == 1
