"""Cells of a table as numbers, by its columns: what a model sees of them.

N rows, D places of a datum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import Column
from genkit.interfaces.columns import size_of
from genkit.text import printable
from genkit_data.kinds import NUMBER, Reading, days
from genkit_data.sheets import Sheet

GREATEST = float(np.finfo(np.float32).max)
LISTED = 20
"""The number of categories that a message lists."""


def encoded(sheet: Sheet, columns: Sequence[Column], reading: Reading) -> Tensor:
    """The rows (N, D) of a table: numbers, days since 1970-01-01, truths as 0 and 1, categories one-hot, marks.

    Raises:
        DataError: values that a column cannot have, one line for each column with such values.
    """
    x = torch.zeros(len(sheet.lines), size_of(columns))
    faults: list[str] = []
    for column in columns:
        if column.width == 0 and column.mark is None:
            continue
        try:
            _fill(x, sheet, column, reading)
        except DataError as error:
            faults.extend(error.args)
    if faults:
        raise DataError(*faults)
    return x


def _fill(x: Tensor, sheet: Sheet, column: Column, reading: Reading) -> None:
    cells = sheet.cells[column.name]
    missing = torch.from_numpy(np.fromiter((cell in reading.missing for cell in cells), bool, len(cells)))
    if column.mark is not None:
        x[:, column.mark] = missing.float()
    elif missing.any():
        row = int(missing.nonzero()[0])
        raise DataError(
            f"{sheet.at(row, column.name)}: the value is missing, and none was in the training data; fill it in"
        )
    code = _coder(column, reading)
    texts = [text for text in dict.fromkeys(cells) if text not in reading.missing]
    codes = {text: _code(text, code, sheet, column) for text in texts}
    values = np.fromiter((codes.get(cell, 0.0) for cell in cells), np.float64, len(cells))
    if column.kind == "categorical":
        rows = (~missing).nonzero().flatten()
        x[rows, column.start + torch.from_numpy(values).long()[rows]] = 1
    elif column.width:
        x[:, column.start] = torch.from_numpy(values).float()


def _code(text: str, code: Callable[[str], float | str], sheet: Sheet, column: Column) -> float:
    """The number of a value; raises DataError, with its line, where it has none."""
    value = code(text)
    if isinstance(value, str):
        place = sheet.at(sheet.cells[column.name].index(text), column.name)
        raise DataError(f"{place}: '{printable(text, 40)}' {value}")
    return value


def _coder(column: Column, reading: Reading) -> Callable[[str], float | str]:
    """A function from the text of a value to its number, or to what is wrong with it."""
    if column.kind == "numeric":
        return lambda text: _number(reading.number(text))
    if column.kind == "date":
        form = column.form or ""
        remedy = f"is no date of the form {form}; write it in the form of the others"
        return lambda text: remedy if (value := days(text, form)) is None else value
    if column.kind == "constant":
        return lambda text: 0.0
    return _Categories(column)


def _number(text: str) -> float | str:
    if NUMBER.fullmatch(text) is None:
        what = "is not finite" if text.lower().strip("+-").startswith("inf") else "is no number"
        return f"{what}; mend it, or take it as missing: data.missing=[..., '{printable(text, 40)}']"
    value = float(text)
    return value if abs(value) <= GREATEST else f"is beyond what float32 holds, {GREATEST:.3g}; scale the column"


class _Categories:
    """The places of categories. A truth has the same place in any case, and as a whole number or with a point.

    Args:
        column: the column.
    """

    def __init__(self, column: Column) -> None:
        self.column = column
        self.codes = {self._plain(text): index for index, text in enumerate(column.categories)}

    def _plain(self, text: str) -> str:
        return text.lower().removesuffix(".0") if self.column.kind == "boolean" else text

    def __call__(self, text: str) -> float | str:
        """The place of a category, or what is wrong with it."""
        place = self.codes.get(self._plain(text))
        if place is not None:
            return place
        listed = ", ".join(map(printable, self.column.categories[:LISTED]))
        more = f", and {len(self.column.categories) - LISTED:,} more" if len(self.column.categories) > LISTED else ""
        return f"is none of the categories of the training data: {listed}{more}; mend it, or leave the row out"
