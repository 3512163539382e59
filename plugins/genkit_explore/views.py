"""Views: how a page shows a datum, by the data's schema: an image, the rows of a table, or lines over steps.

N data, C channels, H and W pixels, T steps, F channels of series.
"""

from __future__ import annotations

import base64
import math
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genkit import Model
from genkit.interfaces import Column
from genkit.pictures.mosaic import is_image

SMALL = 28
"""The largest number of pixels across a thumbnail."""
STEPS, LINES = 32, 4
"""The steps and the lines of a thumbnail of a series."""
GONE = 255
"""The value of a thumbnail's step that is not there."""


class View(Protocol):
    """A way to show data."""

    def description(self) -> dict[str, Any]:
        """What the page has to know of all data, as JSON."""

    def packed(self, x: Tensor) -> bytes:
        """Data (N, *shape) as the page reads them: bytes of images, else float32 of this machine's little end."""

    def thumbnails(self, x: Tensor) -> tuple[bytes, tuple[int, ...]]:
        """Small forms of data, and the shape of one; empty, (): there are none."""


def view_of(model: Model, x: Tensor) -> View:
    """The view that suits a model's data; some data x (N, *shape) show their ranges."""
    if model.schema.columns:
        return TableView(model.schema.columns, x)
    if is_image(model.shape):
        return ImageView(model.shape, model.limits)
    names = (
        model.schema.channel_names if len(model.shape) == 2 and (model.schema.channels or model.shape[1] > 1) else ()
    )
    return LineView(names, "step" if len(model.shape) == 2 else "place", lines_of(x))


def base64_of(values: bytes) -> str:
    """Bytes as the text of a page's JSON."""
    return base64.b64encode(values).decode("ascii")


def floats(values: Tensor) -> bytes:
    """Numbers as float32, in the order of little-endian machines, which browsers read."""
    return values.detach().cpu().numpy().astype("<f4").tobytes()


class ImageView:
    """Images (C, H, W) with values between the limits from dark to bright.

    Args:
        shape: (C, H, W).
        limits: the values of black and white.
    """

    def __init__(self, shape: tuple[int, ...], limits: tuple[float, float]) -> None:
        self.shape, self.limits = shape, limits

    def description(self) -> dict[str, Any]:
        """The size of an image."""
        return {"kind": "image", "shape": list(self.shape)}

    def packed(self, x: Tensor) -> bytes:
        """Images (N, C, H, W) as bytes (N, H, W, C)."""
        low, high = self.limits
        shares = ((x.float().cpu() - low) / max(high - low, 1e-12)).nan_to_num().clamp(0, 1)
        return shares.mul(255).round().to(torch.uint8).movedim(1, -1).contiguous().numpy().tobytes()

    def thumbnails(self, x: Tensor) -> tuple[bytes, tuple[int, ...]]:
        """Images of at most 28 by 28 pixels."""
        small = self.reduced(x, SMALL)
        return self.packed(small), (*small.shape[2:], small.shape[1])

    def reduced(self, x: Tensor, most: int) -> Tensor:
        """Images (N, C, H, W) with at most so many pixels on the longer side, each the mean of those it stands for."""
        height, width = self.shape[1:]
        scale = most / max(height, width)
        if scale >= 1:
            return x
        return F.adaptive_avg_pool2d(x.float(), (max(1, round(height * scale)), max(1, round(width * scale))))


class LineView:
    """Series (T, F), and other data as lines along their longest axis.

    Args:
        names: the names of the channels; (): they have none.
        axis: what the lines go over.
        lines: some data (N, T, F), NaN where a step is not there: the page's ranges.
    """

    def __init__(self, names: tuple[str, ...], axis: str, lines: Tensor) -> None:
        self.names, self.axis, self.steps = names, axis, lines.shape[1]
        flat = lines.double().flatten(0, 1).numpy()
        there = np.where(np.isnan(flat).all(0), 0.0, flat)
        self.low, self.high = np.nanmin(there, 0), np.nanmax(there, 0)

    def description(self) -> dict[str, Any]:
        """The channels with their ranges."""
        ranges = {"low": self.low.tolist(), "high": self.high.tolist()}
        return {"kind": "lines", "steps": self.steps, "axis": self.axis, "names": list(self.names), **ranges}

    def packed(self, x: Tensor) -> bytes:
        """Data (N, *shape) as float32 (N, T, F)."""
        return floats(lines_of(x))

    def thumbnails(self, x: Tensor) -> tuple[bytes, tuple[int, ...]]:
        """Up to 4 lines of up to 32 steps as bytes, each over its channel's range."""
        lines = lines_of(x)[..., :LINES].cpu().numpy()
        chosen = np.linspace(0, lines.shape[1] - 1, min(STEPS, lines.shape[1])).round().astype(int)
        low, high = self.low[:LINES], self.high[:LINES]
        shares = (lines[:, chosen] - low) / np.maximum(high - low, 1e-12)
        small = np.where(np.isnan(shares), GONE, np.clip(np.nan_to_num(shares), 0, 1) * (GONE - 1)).round()
        return small.astype(np.uint8).tobytes(), small.shape[1:]


def lines_of(x: Tensor) -> Tensor:
    """Data (N, *shape) as lines (N, T, F): (T, F) as they are, others along the longer one of two axes."""
    if x.ndim < 4:
        return x.unsqueeze(-1) if x.ndim == 2 else x
    flat = x.flatten(2)
    return flat if flat.shape[1] >= flat.shape[2] else flat.movedim(1, 2)


class TableView:
    """Rows of a table, in the units of its columns.

    Args:
        columns: the columns.
        x: some rows (N, D): the page's ranges.
    """

    def __init__(self, columns: tuple[Column, ...], x: Tensor) -> None:
        self.columns, self.ranges = columns, [_range(column, x) for column in columns]

    def description(self) -> dict[str, Any]:
        """The columns with their places and the ranges of their values."""
        keys = {"name", "kind", "categories", "start", "mark", "decimals"}
        columns = [
            {**column.model_dump(include=keys), "low": low, "high": high}
            for column, (low, high) in zip(self.columns, self.ranges, strict=True)
        ]
        return {"kind": "table", "columns": columns}

    def packed(self, x: Tensor) -> bytes:
        """Rows (N, D) as float32."""
        return floats(x)

    def thumbnails(self, x: Tensor) -> tuple[bytes, tuple[int, ...]]:
        """None: a row is read, not seen."""
        return b"", ()


def _range(column: Column, x: Tensor) -> tuple[float, float]:
    """The least and the greatest value of a column of numbers, where it is not missing."""
    if not column.is_number:
        return 0.0, 1.0
    values = x[:, column.start].double()
    there = values if column.mark is None else values[x[:, column.mark] < 0.5]
    if not there.numel() or not math.isfinite(float(there.sum())):
        return 0.0, 1.0
    return float(there.min()), float(there.max())
