"""Data of a table in the user's own units: named columns with values of their types.

N rows, D places of a datum.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from genkit.interfaces import Column

EPOCH = datetime.date(1970, 1, 1).toordinal()
"""The day from which the days of dates are counted."""
DIGITS = 7
"""The significant digits that float32 holds."""

Values = Mapping[str, list[Any]]
"""The columns of a table by name: numbers, truths, texts and dates; None where a value is missing."""


def table_of(x: Tensor, columns: Sequence[Column]) -> dict[str, list[Any]]:
    """The columns of data x (N, D): numbers rounded as they were written, the likeliest category, dates.

    A value is None where its mark is 1/2 or above, and in a column that never had one.
    """
    rows = x.detach().cpu().double()
    return {column.name: _values(rows, column) for column in columns}


def type_of(column: Column) -> type:
    """The type of the values of a column: float, int, bool, str, or datetime.date."""
    if column.kind in ("numeric", "count"):
        return int if column.decimals == 0 else float
    if column.kind == "date":
        return datetime.date
    if column.kind == "categorical" or not column.categories:
        return str
    return type(_plain(column.categories[0]))


def _values(x: Tensor, column: Column) -> list[Any]:
    if column.kind == "categorical":
        places = x[:, column.start : column.start + column.width].argmax(1).tolist()
    elif column.width:
        places = x[:, column.start].tolist()
    else:
        places = [0] * len(x)
    value_of = _reader(column)
    if column.mark is None:
        return [value_of(place) for place in places]
    missing = (x[:, column.mark] >= 0.5).tolist()
    return [None if gone else value_of(place) for place, gone in zip(places, missing, strict=True)]


def _reader(column: Column) -> Callable[[float], Any]:
    """A function from what a place holds to a value of the column."""
    if column.kind == "numeric":
        return lambda number: _number(number, column.decimals)
    if column.kind == "count":
        return lambda number: int(number) if number.is_integer() else _number(number, None)
    if column.kind == "date":
        return _date
    names = [_plain(name) for name in column.categories] if column.kind != "categorical" else [*column.categories]
    if column.kind == "boolean":
        return lambda share: names[int(share >= 0.5)]
    return lambda place: names[int(place)] if names else None


def _number(number: float, decimals: int | None) -> float:
    if decimals is None:
        return float(f"{number:.{DIGITS}g}")
    return round(number) if decimals == 0 else round(number, decimals)


def _date(days: float) -> datetime.date:
    least, greatest = datetime.date.min.toordinal(), datetime.date.max.toordinal()
    return datetime.date.fromordinal(min(max(round(days) + EPOCH, least), greatest))


def _plain(text: str) -> Any:
    """A truth as Python has it: True and False, or a number; other texts as they are."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def as_text(values: Values, columns: Sequence[Column]) -> dict[str, list[Any]]:
    """The same with dates and truths as the training data had them, for files of text."""
    texts: dict[str, list[Any]] = dict(values)
    for column in columns:
        if column.name in values and (column.kind in ("boolean", "constant") or column.form is not None):
            texts[column.name] = [_as_written(value, column) for value in values[column.name]]
    return texts


def _as_written(value: Any, column: Column) -> Any:
    if value is None:
        return None
    if column.form is not None:
        return value.strftime(column.form)
    return next(name for name in column.categories if _plain(name) == value)
