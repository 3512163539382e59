"""The columns of a table: what each place of a datum holds.

A datum of a table is a vector (D,). A number, a date or a truth has one place; a category has one place per category, 1
for the category that it is and 0 for the others. Where values are missing, a column has a mark besides: 1 where its
value is missing, and the places of the value are 0 then.

B data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from genkit.settings.base import Settings

ColumnKind = Literal["numeric", "count", "date", "boolean", "categorical", "constant"]
"""Kinds of columns: numbers; counts; days since 1970-01-01; one of two values; one of some categories; all the same."""

Text = Annotated[str, Field(max_length=1000)]
Place = Annotated[int, Field(ge=0, lt=2**31)]


class Column(Settings):
    """A column of a table, and its places in a datum."""

    name: Text
    kind: ColumnKind
    categories: Annotated[tuple[Text, ...], Field(max_length=10_000)] = ()
    """The values of a categorical column; the two of a boolean one, 0 and 1; the value of a constant one, if any."""
    start: Place = 0
    """The first place of its value; a constant column has none."""
    mark: Place | None = None
    """The place of the mark of missing values; None: no value was missing in the training data."""
    decimals: Annotated[int, Field(ge=0, le=20)] | None = None
    """The greatest number of digits after the point of a numeric column; None: written with an exponent."""
    form: Annotated[str, Field(max_length=40)] | None = None
    """How a date is written, as for `datetime.strptime`."""

    @model_validator(mode="after")
    def _whole(self) -> Column:
        counts = {"categorical": range(1, 10_001), "boolean": range(2, 3), "constant": range(2)}
        if len(self.categories) not in counts.get(self.kind, range(1)):
            raise PydanticCustomError("categories", f"no {self.kind} column has {len(self.categories)} categories")
        if (self.kind == "date") != (self.form is not None):
            raise PydanticCustomError("form", "a date, and nothing else, has a form")
        return self

    @property
    def width(self) -> int:
        """The number of places of its value."""
        return {"categorical": len(self.categories), "constant": 0}.get(self.kind, 1)

    @property
    def is_number(self) -> bool:
        """Whether its value is a real number, of any size."""
        return self.kind in ("numeric", "count", "date")


def are_counts(columns: Sequence[Column]) -> bool:
    """Whether all columns that have places hold counts, and there are some."""
    kinds = {column.kind for column in columns if column.width or column.mark is not None}
    return kinds == {"count"}


def laid_out(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns with their places: those of the values in order, then the marks of those that have one."""
    placed, place = [], 0
    for column in columns:
        placed.append(column.model_copy(update={"start": place}))
        place += column.width
    for index, column in enumerate(placed):
        if column.mark is not None:
            placed[index] = column.model_copy(update={"mark": place})
            place += 1
    return tuple(placed)


def size_of(columns: Iterable[Column]) -> int:
    """The number of places of a datum, D."""
    return sum(column.width + (column.mark is not None) for column in columns)


def fits(columns: Sequence[Column], shape: Sequence[int]) -> bool:
    """Whether data of a shape have these columns: each place of a datum belongs to exactly one value or mark."""
    places = [place for column in columns for place in range(column.start, column.start + column.width)]
    places += [column.mark for column in columns if column.mark is not None]
    return len(shape) == 1 and len(places) == shape[0] and sorted(places) == list(range(shape[0]))


def marks_of(columns: Iterable[Column], size: int) -> list[int]:
    """For each of the D = `size` places the place of its column's mark; D where there is none."""
    marks = [size] * size
    for column in columns:
        for place in range(column.start, column.start + column.width):
            marks[place] = size if column.mark is None else column.mark
    return marks


def observed(x: Tensor, marks: Tensor) -> Tensor:
    """1 for each place whose value is there, else 0: x (B, D), marks (D,) as `marks_of` gives them -> (B, D)."""
    return 1 - F.pad(x, (0, 1)).index_select(-1, marks)


def marks_tensor(columns: Sequence[Column], size: int) -> Tensor | None:
    """The marks (D,) of `marks_of`; None: no column has one."""
    if all(column.mark is None for column in columns):
        return None
    return torch.tensor(marks_of(columns, size))
