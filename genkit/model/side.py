"""Side data as a caller gives them, such as `labels=7`.

N data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from genkit.data.steps import lengths_in_turn, mask_of
from genkit.errors import DataError
from genkit.interfaces import Schema, Side
from genkit.interfaces.component import MASK

LENGTHS = "lengths"
"""The name by which a caller may say how long series are, in place of their mask."""


class SideReader(Protocol):
    """A model that takes side data."""

    @property
    def schema(self) -> Schema:
        """What the side data hold."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of those that the model takes."""

    @property
    def decoder_inputs(self) -> tuple[str, ...]:
        """The names of those that decoding takes."""

    @property
    def device(self) -> torch.device:
        """Where it takes them."""


def completed(
    model: SideReader, names: Sequence[str], values: Mapping[str, Any], count: int, turns: bool = False
) -> dict[str, Tensor]:
    """Some side data that a model takes, (N, ...) each, on its device.

    Args:
        model: the model.
        names: those that are taken: the model's `encoder_inputs` or `decoder_inputs`.
        values: the values by name: one for all data, or one for each. Classes are whole numbers, or texts, their names.
        count: the number of data, N.
        turns: whether classes that are left out take turns, 0, 1, ..., 0, 1, ..., and lengths those of the training.

    Raises:
        DataError: one is missing, unknown, of another shape, or no class of the model.
    """
    values = with_mask(model, names, values)
    check_names(model, names, values)
    side = {}
    for name in names:
        what = model.schema.side[name]
        if name in values:
            side[name] = _checked(name, values[name], what, count)
        elif turns and what.classes is not None:
            side[name] = classes_in_turn(what, count).expand(count, *what.shape)
        elif turns and name == MASK and model.schema.is_padded:
            steps = model.schema.shape[0]
            side[name] = mask_of(lengths_in_turn(model.schema.lengths, count, steps), steps)
        else:
            or_lengths = f" or {LENGTHS}=..." if name == MASK and model.schema.is_padded else ""
            raise DataError(f"the model reads '{name}' beside the data, and there are none: say {name}=...{or_lengths}")
    return {name: each.to(model.device) for name, each in side.items()}


def with_mask(model: SideReader, names: Sequence[str], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Side data with the mask of series in place of their lengths, of which there may be one for all data."""
    if LENGTHS not in values or MASK not in names or LENGTHS in names or not model.schema.is_padded:
        return values
    if MASK in values:
        raise DataError(f"'{MASK}' and '{LENGTHS}' say the same: leave one of them out")
    steps, lengths = model.schema.shape[0], _numbers(LENGTHS, values[LENGTHS])
    if lengths.ndim > 1 or bool((lengths != lengths.round()).any()):
        raise DataError(f"{LENGTHS}: takes a whole number for all data, or one for each, not {values[LENGTHS]!r}")
    if lengths.numel() and not 1 <= float(lengths.min()) <= float(lengths.max()) <= steps:
        raise DataError(f"{LENGTHS}: go from 1 to {steps}, the steps that the model has, not {values[LENGTHS]!r}")
    rest = {name: value for name, value in values.items() if name != LENGTHS}
    return {**rest, MASK: mask_of(lengths, steps)}


def check_names(model: SideReader, names: Sequence[str], values: Mapping[str, Any]) -> None:
    """Refuse side data without effect; raises DataError."""
    for name in sorted(set(values) - {*names}):
        if name in model.inputs:
            work, other = ("encoding", "decoding") if name in model.decoder_inputs else ("decoding", "encoding")
            raise DataError(f"'{name}' would change nothing: {other} reads it, and this is {work}")
        takes = ", ".join(names) or f"nothing: train one with condition={name}"
        raise DataError(f"the model is not conditioned on '{name}', which would change nothing; it takes {takes}")


def own_side(names: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some side data that have one of these names: every split may have more."""
    return {name: value for name, value in values.items() if name in names}


def classes_in_turn(side: Side, count: int) -> Tensor:
    """The classes 0, 1, ..., 0, 1, ... of some data: (count, 1, ...), with as many dimensions as the side data have."""
    assert side.classes is not None
    return (torch.arange(count) % side.classes).reshape(-1, *[1] * len(side.shape))


def rows_of(side: Mapping[str, Tensor], start: int, stop: int) -> dict[str, Tensor]:
    """Some rows of side data."""
    return {name: values[start:stop] for name, values in side.items()}


def _checked(name: str, value: Any, side: Side, count: int) -> Tensor:
    values = _classes(name, value, side) if side.classes is not None else _numbers(name, value)
    if values.shape == side.shape:
        return values.expand(count, *side.shape)
    if values.shape != (count, *side.shape):
        what = f" of shape {side.shape}" if side.shape else ""
        raise DataError(
            f"{name}: takes one value{what} for all data, or one for each of the {count:,}, not values of shape "
            f"{tuple(values.shape)}"
        )
    return values


def _numbers(name: str, value: Any) -> Tensor:
    try:
        values = torch.as_tensor(_plain(value), dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{name}: takes numbers, not {value!r}") from None
    if not values.isfinite().all():
        raise DataError(f"{name}: has values that are not finite")
    return values


def _plain(value: Any) -> Any:
    """The value, with texts read as numbers."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return float(value) if isinstance(value, str) else value


def _classes(name: str, value: Any, side: Side) -> Tensor:
    """Indices of classes; texts are their names."""
    assert side.classes is not None
    names = {text: index for index, text in enumerate(side.names or map(str, range(side.classes)))}
    are_places = [*names] == [str(index) for index in range(side.classes)]
    are_numbers = all(map(str.isdecimal, names)) and not are_places  # then a number in a text is a name, not a place

    def index_of(text: Any) -> Any:
        if isinstance(text, list | tuple):
            return [index_of(each) for each in text]
        if isinstance(text, str) and text not in names and text.isdecimal() and not are_numbers:
            return int(text)
        if isinstance(text, str) and text not in names:
            raise DataError(f"{name}: there is no class '{text}'; the model knows {', '.join([*names][:20])}")
        return names.get(text, text) if isinstance(text, str) else text

    values = torch.as_tensor(index_of(value))
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise DataError(f"{name}: takes classes, whole numbers from 0 to {side.classes - 1} or names, not {value!r}")
    if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < side.classes:
        outside = int(values[(values < 0) | (values >= side.classes)].flatten()[0])
        raise DataError(f"{name}: there is no class {outside}; they go from 0 to {side.classes - 1}")
    return values.long()
