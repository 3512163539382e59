"""Series of different lengths in one tensor, with a mask beside it.

N series, T steps of the longest, F channels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genkit.data.steps import held
from genkit.errors import DataError
from genkit_data.recordings import Array, Recordings
from genkit_data.sizes import check_memory


class Padded(NamedTuple):
    """Series of one length."""

    x: Tensor
    """(N, T, F) float32; where a step is not there, the value before it."""
    mask: Tensor
    """(N, T) float32: 1 for each step that is there."""


def check_missing(recordings: Recordings, masks: bool) -> Recordings:
    """The recordings themselves.

    Args:
        recordings: the series.
        masks: whether a step with a missing value is taken as one that is not there.

    Raises:
        DataError: a value is missing or infinite, or no step of a series is there.
    """
    for number, values in enumerate(recordings.series):
        where = f"{recordings.where}: {recordings.name(number)}"
        bad = np.isinf(values) if masks else ~np.isfinite(values)
        if bool(bad.any()):
            step, channel = (int(place) for place in np.argwhere(bad)[0])
            of_channel = f", {recordings.channels[channel]}" if recordings.channels else f", channel {channel}"
            if np.isinf(values[step, channel]):
                raise DataError(f"{where}: step {step}{of_channel}: the value is infinite; replace it")
            raise DataError(
                f"{where}: step {step}{of_channel}: the value is missing, as are {int(bad.any(1).sum()):,} of "
                f"{len(values):,} steps; fill them in, or data.missing=mask takes these steps as not there"
            )
        if not bool(np.isfinite(values).all(1).any()):
            raise DataError(f"{where}: each of its {len(values):,} steps misses a value; leave it out")
    return recordings


def padded(recordings: Recordings, steps: int) -> Padded:
    """The series in tensors of T = `steps` steps; raises DataError where one is longer, or all take too much memory."""
    series, features = recordings.series, recordings.series[0].shape[1]
    check_memory(4 * len(series) * steps * features, recordings.where)
    x, mask = np.zeros((len(series), steps, features), np.float32), np.zeros((len(series), steps), np.float32)
    for number, values in enumerate(series):
        if len(values) > steps:
            raise DataError(
                f"{recordings.where}: {recordings.name(number)} has {len(values):,} steps, and the model takes "
                f"{steps:,}: cut it, or train with data.length={len(values)}"
            )
        there: Array = np.asarray(np.isfinite(values).all(1))
        x[number, : len(values)] = np.where(there[:, np.newaxis], values, 0)
        mask[number, : len(values)] = there
    marks = torch.from_numpy(mask)
    return Padded(held(torch.from_numpy(x), marks), marks)


def masked_windows(windows: Array, where: str) -> Padded:
    """Windows (N, T, F) with NaN where a value is missing; raises DataError where one misses a value in each step."""
    there: Array = np.asarray(np.isfinite(windows).all(2))
    empty: Array = np.asarray(~there.any(1))
    if bool(empty.any()):
        number = int(empty.argmax())
        raise DataError(
            f"{where}: each step of window {number} misses a value; leave that part of the series out, or take longer "
            "windows"
        )
    x, marks = np.where(there[:, :, np.newaxis], windows, 0), torch.from_numpy(there.astype(np.float32))
    return Padded(held(torch.from_numpy(x), marks), marks)
