"""What is assumed about data that no file states, as lines to read: scale, layout, and doubts about them."""

from __future__ import annotations

import torch

from genkit.data.dataset import Dataset, DataSignature, as_float
from genkit.data.extent import extents
from genkit.data.scaling import axis_of, name_of
from genkit.interfaces import Reader, Shape
from genkit.interfaces.columns import are_counts
from genkit.interfaces.reader import Data

LARGE = 100.0
"""The magnitude from which values count as unscaled."""
ALIKE = 10.0
"""The greatest quotient of the widths of all values and of a column for which one range fits all columns."""
DIM = 32
"""The largest byte below which bytes are probably no shares of 255."""
SQUARE = 8
"""The least height and width of a datum (H, W) that is probably an image."""
LONG = 8
"""How many times longer than the first axis the second is, where it is probably time."""
CHANNELS = (1, 3, 4)
"""The usual numbers of channels of images: grey, colour, colour with alpha."""


def notes(data: Dataset) -> list[str]:
    """A line for each thing that is assumed: scale, layout, and what the source says."""
    if data.scaling is not None:
        scale = f"each {name_of(data.shape)} standardized: all that the model takes and gives is in these units"
    else:
        scale = "bytes, read as x / 255" if data.train.x.dtype == torch.uint8 else "numbers as they are"
    if data.transforms.lasting:
        scale += f", which the model sees through {', then '.join(data.transforms.lasting)}"
    return [scale, *([] if data.columns else [_layout(data.shape)]), *data.notes]


def doubts(data: Dataset, limits: tuple[float, float]) -> list[str]:
    """A line, with a remedy, for each thing that may be a mistake.

    Args:
        data: the data of a run.
        limits: the least and the greatest value of the training data, as the model sees them.
    """
    return [*data.doubts, *scale_doubts(data, limits), *_layout_doubts(data.shape, data.train.x.dtype)]


def scale_doubts(data: Dataset, limits: tuple[float, float]) -> list[str]:
    """Doubts about the scale alone; arguments as for `doubts`."""
    if data.transforms.lasting:
        return []
    if data.scaling is None and data.train.x.dtype == torch.uint8 and limits[0] < limits[1]:
        return _byte_doubts(round(255 * limits[1]))
    large = unscaled(data, limits)
    return [] if large is None else [large]


def unscaled(data: Dataset, limits: tuple[float, float]) -> str | None:
    """The extent of unscaled data, with the remedy; None: no value is large. Arguments as for `doubts`."""
    if data.scaling is not None or data.transforms.lasting or max(map(abs, limits)) <= LARGE:
        return None
    if are_counts(data.columns):
        return None
    return _extent_of_columns(limits) if data.columns else _extents(data.train.x, limits)


def unscaled_range(signature: DataSignature) -> str | None:
    """The extent of unscaled data by their signature alone, with the remedy; None: no value is large."""
    (least, greatest), name = signature.range, name_of(signature.shape)
    if max(abs(least), abs(greatest)) <= LARGE or signature.scaling is not None or signature.transforms:
        return None
    if are_counts(signature.columns):
        return None
    if signature.columns:
        return _extent_of_columns(signature.range)
    extent = f"the data are unscaled: values go from {least:.4g} to {greatest:.4g}"
    return f"{extent}; data.standardize=true brings each {name} to mean 0 and standard deviation 1"


def _extent_of_columns(limits: tuple[float, float]) -> str:
    return (
        f"the numbers of the table are unscaled: they go from {limits[0]:.4g} to {limits[1]:.4g}; "
        "data.transform=standardize brings each column of numbers to mean 0 and standard deviation 1"
    )


def _byte_doubts(largest: int) -> list[str]:
    if largest >= DIM:
        return []
    what = "0 and 1" if largest == 1 else "counts or levels"
    also = "" if largest == 1 else ", and data.range=[0,1] leaves them as they are"
    return [
        f"the largest byte is {largest}, and bytes are read as x / 255, so values go from 0 to {largest / 255:.2g}; "
        f"if they are {what}, data.range=[0,{largest}] makes them go from 0 to 1{also}"
    ]


def _extents(x: Data, limits: tuple[float, float]) -> str:
    """The extent of unscaled data x (N, *shape): the column that goes farthest, and what brings them to one scale."""
    axis = axis_of(x.shape[1:])
    others = [each for each in range(x.ndim - 1) if each != axis]
    low, high = map(as_float, extents(x))
    if others:
        low, high = low.amin(others), high.amax(others)
    far = int(torch.maximum(low.abs(), high.abs()).argmax())
    many = int((torch.maximum(low.abs(), high.abs()) > LARGE).sum())
    widths = (high - low)[high > low]
    name, (least, greatest) = name_of(x.shape[1:]), limits
    one_range = widths.numel() and greatest - least <= ALIKE * float(widths.min())
    remedy = f", or data.range=[{least:.9g},{greatest:.9g}] where the source has that option" if one_range else ""
    option = "data.transform=standardize" if isinstance(x, Reader) else "data.standardize=true"
    return (
        f"the data are unscaled: values go from {least:.4g} to {greatest:.4g} ({name} {far} from {float(low[far]):.4g} "
        f"to {float(high[far]):.4g}; {many:,} of {len(low):,} {name}s pass ±{LARGE:g}), so training may run away, or "
        f"see the largest alone; {option} brings each {name} to mean 0 and standard deviation 1{remedy}"
    )


def _layout(shape: Shape) -> str:
    sizes = "×".join(map(str, shape))
    if len(shape) == 1:
        return f"rows of {shape[0]:,} values"
    if len(shape) == 2:
        return f"{sizes} as (T, F), {shape[0]} steps of {shape[1]} values"
    axes = {3: "(C, H, W)", 4: "(C, D, H, W)"}.get(len(shape), "(C, ...)")
    channels = "1 channel" if shape[0] == 1 else f"{shape[0]} channels"
    return f"{sizes} as {axes}, {channels} of {'×'.join(map(str, shape[1:]))}"


def _layout_doubts(shape: Shape, dtype: torch.dtype) -> list[str]:
    datum = f"a datum of {'×'.join(map(str, shape))} is read as"
    if len(shape) == 2:
        first, second = shape
        if min(shape) >= SQUARE and (dtype == torch.uint8 or first == second):
            return [f"{datum} a sequence (T, F); if it is a grey image, give it a channel: x[:, None]"]
        if second >= LONG * first:
            return [f"{datum} {first} steps (T, F); if the second axis is time, swap them: x.transpose(0, 2, 1)"]
    if len(shape) != 3 or shape[0] <= max(CHANNELS):
        return []
    first, height, width = shape
    if width in CHANNELS and height > max(CHANNELS):
        return [f"{datum} {first} channels; if the channels are last, move them first: x.transpose(0, 3, 1, 2)"]
    return [f"{datum} {first} channels; if the first axis is time, join the others: x.reshape(len(x), {first}, -1)"]
