"""The kinds of the columns of a table, by their cells: numbers, dates, truths, categories.

N rows.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from genkit.errors import DataError
from genkit.interfaces import Column
from genkit.interfaces.columns import ColumnKind
from genkit.text import printable
from genkit_data.sheets import Sheet

MOST = 100
"""The largest number of different texts that are categories unasked."""
FEW = 10
"""The number of different texts up to which they are categories, even if most of them are there once."""
EXACT = 6
"""The largest number of digits after the point that are kept when numbers are written."""
NUMBER = re.compile(r"[+-]?(?:\d+\.?(\d*)|\.(\d+))([eE][+-]?\d+)?", re.ASCII)
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}", re.ASCII)
FORMS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
"""The forms of dates that are recognised."""
EPOCH = datetime.date(1970, 1, 1).toordinal()
TRUTHS = ({"false", "true"}, {"0", "1"}, {"0.0", "1.0"})


class Reading(NamedTuple):
    """How cells are read."""

    missing: frozenset[str]
    """The texts that stand for a missing value, the empty one among them."""
    decimal: str
    """The decimal point, `.` or `,`."""
    form: str | None
    """The form of dates; None: recognised."""

    def number(self, text: str) -> str:
        """A number with a decimal point."""
        return text.replace(",", ".") if self.decimal == "," else text

    def is_number(self, text: str) -> bool:
        """Whether a text is a number, infinite ones among them."""
        text = self.number(text)
        return NUMBER.fullmatch(text) is not None or INFINITE.fullmatch(text) is not None


def column_of(sheet: Sheet, name: str, kind: ColumnKind | None, reading: Reading) -> Column | None:
    """A column by its cells, without its place; None: text of too many different values.

    Args:
        sheet: the table.
        name: the name of the column.
        kind: the kind that it is said to have; None: the one that its values have.
        reading: how cells are read.

    Raises:
        DataError: its values are of two kinds; with the first odd value, its line, and the remedy.
    """
    counts = Counter(sheet.cells[name])
    marked = any(text in counts for text in reading.missing)
    for text in reading.missing:
        counts.pop(text, None)
    mark = 0 if marked and counts else None
    if len(counts) <= 1 and kind is None:
        return Column(name=name, kind="constant", categories=tuple(counts), mark=mark)
    kind = kind or _kind(sheet, name, counts, reading)
    if kind is None:
        return None
    if kind == "numeric":
        return Column(name=name, kind=kind, mark=mark, decimals=_decimals(map(reading.number, counts)))
    if kind == "date":
        return Column(name=name, kind=kind, mark=mark, form=_form(sheet, name, list(counts), reading))
    if kind == "boolean" and len(counts) != 2:
        raise DataError(
            f"data.types: column '{printable(name)}' has {len(counts):,} different values; boolean takes two"
        )
    return Column(name=name, kind=kind, categories=in_order(counts), mark=mark)


def in_order(texts: Iterable[str]) -> tuple[str, ...]:
    """Different texts in the order of their numbers, if all are numbers, else of the alphabet."""
    names = sorted(texts)
    return tuple(sorted(names, key=float) if all(map(NUMBER.fullmatch, names)) else names)


def _kind(sheet: Sheet, name: str, counts: Counter[str], reading: Reading) -> ColumnKind | None:
    if {text.lower() for text in counts} in TRUTHS and len(counts) == 2:
        return "boolean"
    total = counts.total()
    numbers = sum(count for text, count in counts.items() if reading.is_number(text))
    dates = sum(count for text, count in counts.items() if DATE.fullmatch(text))
    if numbers == total or (numbers < total and 2 * numbers >= total):
        _check_alike(sheet, name, [t for t in counts if not reading.is_number(t)], "a number", numbers)
        return "numeric"
    if 2 * dates >= total:
        _check_alike(sheet, name, [t for t in counts if not DATE.fullmatch(t)], "a date", dates)
        return "date"
    commas = [text for text in counts if COMMA.fullmatch(text)]
    if 2 * sum(counts[text] for text in commas) >= total:
        raise DataError(
            f"{_place(sheet, name, commas[0])}: '{commas[0]}' has a comma where numbers have a point; data.decimal=',' "
            "reads it as a decimal comma"
        )
    unusual = len(counts) > MOST or (len(counts) > FEW and 2 * len(counts) > total)
    return None if unusual else "categorical"


def _check_alike(sheet: Sheet, name: str, odd: Sequence[str], what: str, others: int) -> None:
    if odd:
        text = printable(odd[0], 40)
        raise DataError(
            f"{_place(sheet, name, odd[0])}: '{text}' is not {what}, as {others:,} other values of the column are; "
            f"mend it, or say what it is: no value, data.missing=[{text}]; or categories, "
            f"data.types={{{printable(name)}: categorical}}"
        )


def _place(sheet: Sheet, name: str, text: str) -> str:
    return sheet.at(sheet.cells[name].index(text), name)


def _decimals(texts: Iterable[str]) -> int | None:
    """The greatest number of digits after the point; None: there are too many, or an exponent."""
    most = 0
    for text in texts:
        match = NUMBER.fullmatch(text)
        if match is None:
            continue  # refused when it is read
        if match[3]:
            return None
        most = max(most, len((match[1] or match[2] or "").rstrip("0")))
    return most if most <= EXACT else None


def days(text: str, form: str) -> int | None:
    """The days of a date since 1970-01-01; None: it has another form."""
    try:
        return datetime.datetime.strptime(text, form).date().toordinal() - EPOCH
    except ValueError:
        return None


def _form(sheet: Sheet, name: str, texts: Sequence[str], reading: Reading) -> str:
    """The form in which all dates of a column are written; raises DataError where there is none, or more than one."""
    forms = FORMS if reading.form is None else (reading.form,)
    right = [form for form in forms if all(days(text, form) is not None for text in texts)]
    if len(right) == 1:
        return right[0]
    if right:
        raise DataError(
            f"{_place(sheet, name, texts[0])}: '{texts[0]}' is {right[0]} or {right[1]}, and so are all other values "
            f"of the column: say which: data.dates='{right[0]}'"
        )
    form = next((form for form in forms if days(texts[0], form) is not None), forms[0])
    odd = next(text for text in texts if days(text, form) is None)
    raise DataError(
        f"{_place(sheet, name, odd)}: '{printable(odd, 40)}' is no date of the form {form}, as '{texts[0]}' in "
        f"{sheet.unit} {sheet.lines[sheet.cells[name].index(texts[0])]:,} is; write all dates of a column in one form"
    )
