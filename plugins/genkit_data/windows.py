"""Windows of a long series, and their split by time: windows that overlap are never on both sides of it.

T steps of the series, W of a window, F channels, M windows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from genkit.errors import DataError
from genkit_data.recordings import Array, Recordings
from genkit_data.sizes import check_memory


class Spans(NamedTuple):
    """The first steps of the windows of each split, in order of time."""

    train: Array
    validation: Array
    test: Array
    left_out: int
    """The number of windows that overlap one of a later split, and are in none."""


def starts_of(steps: int, window: int, stride: int, where: str) -> Array:
    """The first steps (M,) of the windows of a series; raises DataError where it is shorter than a window."""
    if steps < window:
        raise DataError(
            f"{where}: the series has {steps:,} steps, and a window takes {window:,}; lower data.window, or take a "
            "longer series"
        )
    return np.arange(0, steps - window + 1, stride)


def by_time(starts: Array, window: int, validation: float, test: float, where: str) -> Spans:
    """The windows in splits: the last ones are the test, those before them the validation.

    Args:
        starts: the first steps (M,) of the windows.
        window: the number of steps of a window.
        validation: how many windows are held out for validation: a share below 1, or a number.
        test: how many are held out for the test.
        where: the file, for messages.

    Raises:
        DataError: a split that is asked for holds no window.
    """
    rest, held_out, left_out = starts, {}, 0
    for name, share in (("test", test), ("validation", validation)):
        count = int(share) if share >= 1 else round(share * len(starts))
        held_out[name] = rest[len(rest) - min(count, len(rest)) :]
        before = rest[: len(rest) - len(held_out[name])]
        rest = before[before + window <= held_out[name][0]] if len(held_out[name]) else before
        left_out += len(before) - len(rest)
        if len(rest) == 0:
            raise DataError(
                f"{where}: of its {len(starts):,} windows of {window:,} steps none is left to train on, before the "
                f"{count:,} for {name} that they must not overlap; lower data.{name}, data.window or data.stride"
            )
    return Spans(rest, held_out["validation"], held_out["test"], left_out)


class Piece(NamedTuple):
    """The windows of one split."""

    recordings: Recordings
    """The file that they come from, with one series."""
    starts: Array
    """Their first steps (M,)."""
    window: int
    """The steps of each, W."""

    def cut(self) -> Array:
        """The windows (M, W, F) in float32."""
        values = self.recordings.series[0]
        check_memory(4 * len(self.starts) * self.window * values.shape[1], self.recordings.where)
        views: Array = np.lib.stride_tricks.sliding_window_view(values, self.window, axis=0)
        return np.ascontiguousarray(views[self.starts].swapaxes(1, 2), dtype=np.float32)

    def labels(self, frequent: Counter[str]) -> list[str] | None:
        """The label of each window, the rarest of those of its steps; None: there are none."""
        if self.recordings.marks is None:
            return None
        names = [label for label, _ in frequent.most_common()]
        ranks = {label: rank for rank, label in enumerate(names)}
        of_steps = np.array([ranks[label] for label in self.recordings.marks[0]])
        rarest = np.lib.stride_tricks.sliding_window_view(of_steps, self.window)[self.starts].max(1)
        return [names[rank] for rank in rarest.tolist()]

    def ids(self) -> tuple[str, ...]:
        """The place of each window: the time of its first step, or the number of that step."""
        if self.recordings.times is None:
            return tuple(map(str, self.starts.tolist()))
        return tuple(self.recordings.times[0][start] for start in self.starts.tolist())


class Cuts(NamedTuple):
    """Long series, cut into windows."""

    pieces: Mapping[str, Piece]
    """The windows by the names of their splits, of those that have some."""
    left_out: int
    """The number of windows that overlap a later split, and are in none."""


def pieces(files: Mapping[str, Recordings], window: int, stride: int, validation: float, test: float) -> Cuts:
    """The windows of the series of a file for training, and perhaps of another for the test; raises DataError.

    Arguments are as for `by_time`.
    """
    for each in files.values():
        if len(each.series) > 1:
            raise DataError(
                f"{each.where}: data.window cuts one long series, and there are {len(each.series):,}; leave it out, so "
                "that each is a datum, or take one of them"
            )
    starts = {name: starts_of(len(each.series[0]), window, stride, each.where) for name, each in files.items()}
    first = files["train"]
    spans = by_time(starts["train"], window, validation, 0 if "test" in files else test, first.where)
    cut = {"train": (first, spans.train), "validation": (first, spans.validation), "test": (first, spans.test)}
    if "test" in files:
        cut["test"] = (files["test"], starts["test"])
    return Cuts({name: Piece(*each, window) for name, each in cut.items() if len(each[1])}, spans.left_out)
