"""Series in tables: a row per step, a column per channel; or numbers alone, without a line of names.

T steps of a series.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genkit.errors import DataError
from genkit.settings.base import nearest
from genkit.text import printable
from genkit_data.recordings import MISSING, Array, Recordings
from genkit_data.sheets import PARQUET, Sheet, read_sheet
from genkit_data.sizes import check_file

NAMED = 10
"""The number of names that a message lists."""


class Roles(NamedTuple):
    """What the columns of a table are, by their names."""

    columns: tuple[str, ...] | None = None
    """The channels; None: all columns but the others and those of `drop`."""
    drop: tuple[str, ...] = ()
    time: str | None = None
    id: str | None = None
    label: str | None = None
    trained: tuple[str, ...] = ()
    """The channels of the trained model for which the table is read; (): there is no model, or it has no names."""

    def those_of(self, sheet: Sheet) -> Roles:
        """The same without the columns that a table for a trained model need not have: labels, ids and times."""
        if not self.trained:
            return self
        there = {option: name for option, name in self.others().items() if name in sheet.cells}
        lacking = [name for name in self.trained if name not in sheet.cells]
        if lacking and self.columns is None:
            lacks, has = (printable(", ".join([*names][:NAMED])) for names in (lacking, sheet.cells))
            raise DataError(f"{sheet.where}: lacks channels that the model was trained on: {lacks}; it has {has}")
        return Roles(self.columns or self.trained, (), trained=self.trained, **there)

    def left_out(self, sheet: Sheet) -> tuple[str, ...]:
        """A doubt about columns that the trained model does not know, if there are some."""
        of_training = {*self.trained, *self.drop, *(self.columns or ()), *self.others().values()}
        names = [name for name in sheet.cells if name not in of_training] if self.trained else []
        listed = printable(", ".join(names[:NAMED]))
        return (f"columns that the model was not trained on are left out: {listed}",) if names else ()

    def others(self) -> dict[str, str]:
        """The columns that are no channels, by their options."""
        options = {"time": self.time, "id": self.id, "label": self.label}
        return {option: name for option, name in options.items() if name is not None}

    def channels(self, sheet: Sheet) -> tuple[str, ...]:
        """The names of the channels; raises DataError where a column is not there, or none is left."""
        named: dict[str, tuple[str, ...]] = {f"data.{option}": (name,) for option, name in self.others().items()}
        named |= {"data.columns": self.columns or (), "data.drop": self.drop}
        for option, names in named.items():
            for name in names:
                if name not in sheet.cells:
                    raise DataError(
                        f"{option}: {sheet.where} has no column '{printable(name)}'; {nearest(name, sheet.cells)}"
                    )
        left_out = {*self.drop, *self.others().values()}
        chosen = tuple(name for name in (self.columns or sheet.cells) if name not in left_out)
        if not chosen:
            raise DataError(f"{sheet.where}: no column is left for a channel; name some in data.columns")
        return chosen


def of_text(path: Path, roles: Roles, option: str) -> Recordings:
    """The series of a table (CSV, TSV, Parquet), or of numbers alone, one step per line.

    Raises:
        DataError: the file is no such table, a value is no number, ids or times are not sorted; with the line.
    """
    check_file(path, option)
    if path.suffix.lower() not in PARQUET and (numbers := _numbers_alone(path, f"{option}: {path}")) is not None:
        if roles.others() or roles.columns or roles.drop:
            named = next(iter([*roles.others(), *(["columns"] if roles.columns else ["drop"])]))
            raise DataError(f"data.{named}: {path} has no line with the names of its columns: numbers alone")
        return Recordings(f"{option}: {path}", [numbers]).check()
    sheet = read_sheet(path, None, "utf-8", roles.drop)
    sheet = sheet._replace(where=f"{option}: {path}")
    left_out, roles = roles.left_out(sheet), roles.those_of(sheet)
    channels = roles.channels(sheet)
    values = np.stack([_column(sheet, name) for name in channels], 1)
    starts, ids = _starts(sheet, roles.id)
    doubts = _uneven(sheet, roles.time, starts) if roles.time else _time_like(values, channels, starts)
    pieces = list(zip(starts, [*starts[1:], len(values)], strict=True))

    def cut(name: str | None) -> list[list[str]] | None:
        return None if name is None else [sheet.cells[name][start:end] for start, end in pieces]

    for row, text in enumerate(sheet.cells[roles.label] if roles.label else ()):
        if text in MISSING:
            raise DataError(f"{sheet.at(row, roles.label or '')}: the label is missing; fill it in")
    marks = cut(roles.label)
    labels = None if marks is None or roles.id is None else _labels(sheet, roles.label or "", marks, starts)
    return Recordings(
        sheet.where,
        [values[start:end] for start, end in pieces],
        channels,
        labels,
        ids=ids,
        times=cut(roles.time),
        marks=marks,
        doubts=(*left_out, *doubts),
    )


def _numbers_alone(path: Path, where: str) -> Array | None:
    """The numbers (T, F) of a file without names, between commas or spaces; None: its first line holds a name."""
    rows: list[list[float]] = []
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            fields = line.replace(",", " ").replace(";", " ").split()
            if not fields:
                continue
            try:
                rows.append([math.nan if field in MISSING else float(field) for field in fields])
            except ValueError:
                if not rows:
                    return None
                raise DataError(f"{where}: line {number:,} holds no number: '{printable(line.strip(), 40)}'") from None
            if len(rows[-1]) != len(rows[0]):
                raise DataError(
                    f"{where}: line {number:,} has {len(rows[-1])} numbers, and the first has {len(rows[0])}; "
                    "each line is a step with a number for each channel"
                )
    if not rows:
        raise DataError(f"{where}: is empty; a series has a line for each step")
    return np.array(rows)


def _column(sheet: Sheet, name: str) -> Array:
    """The values (T,) of a channel."""
    values = np.full(len(sheet.lines), np.nan)
    for row, text in enumerate(sheet.cells[name]):
        if text in MISSING:
            continue
        try:
            values[row] = float(text)
        except ValueError:
            is_date = _moment(text) is not None
            remedy = f"data.time={printable(name)} takes it as the time" if is_date else "data.drop leaves it out"
            what = "a date" if is_date else "no number"
            raise DataError(f"{sheet.at(row, name)}: '{printable(text, 40)}' is {what}; {remedy}") from None
    return values


def _starts(sheet: Sheet, name: str | None) -> tuple[list[int], list[str] | None]:
    """The row at which each series starts, and the ids; raises DataError where the rows of an id are apart."""
    if name is None:
        return [0], None
    cells, starts = sheet.cells[name], [0]
    seen = {cells[0]: 0}
    for row, text in enumerate(cells):
        if text in MISSING:
            raise DataError(f"{sheet.at(row, name)}: the id is missing; each step has that of its series")
        if text == cells[starts[-1]]:
            continue
        if text in seen:
            raise DataError(
                f"{sheet.at(row, name)}: the id '{printable(text, 40)}' was there from {sheet.unit} "
                f"{sheet.lines[seen[text]]:,} on, with others since: sort the rows by id and time"
            )
        seen[text] = row
        starts.append(row)
    return starts, [*seen]


def _uneven(sheet: Sheet, name: str, starts: Sequence[int]) -> tuple[str, ...]:
    """A doubt about times that are not evenly spaced; raises DataError where they do not rise within a series."""
    moments = np.array([_checked_moment(sheet, row, name) for row in range(len(sheet.lines))])
    gaps = np.diff(moments)
    within = np.ones(len(gaps), dtype=bool)
    within[[start - 1 for start in starts[1:]]] = False
    falling = within & ~(gaps > 0)
    if bool(falling.any()):
        row = int(falling.argmax()) + 1
        fault = "is there twice" if gaps[row - 1] == 0 else "lies before the one above"
        raise DataError(
            f"{sheet.at(row, name)}: the time {printable(sheet.cells[name][row], 40)} {fault}; sort the rows by time, "
            "each time once in a series, and say data.id where there are several series"
        )
    inside = gaps[within]
    if len(inside) == 0 or inside.max() <= inside.min() * (1 + 1e-6):
        return ()
    return (
        f"times in '{printable(name)}' are not evenly spaced ({inside.min():g} to {inside.max():g} apart): the model "
        "sees steps alone, whatever lies between them",
    )


def _time_like(values: Array, channels: Sequence[str], starts: Sequence[int]) -> tuple[str, ...]:
    """A doubt about a channel that rises evenly, as times do, where no column is said to be the time."""
    if len(starts) > 1 or len(values) < 3:
        return ()
    gaps = np.diff(values, axis=0)
    even = [name for name, gap in zip(channels, gaps.T, strict=True) if gap[0] > 0 and bool((gap == gap[0]).all())]
    if not even:
        return ()
    return (f"'{printable(even[0])}' rises evenly, and is taken as a channel; if it is the time: data.time={even[0]}",)


def _checked_moment(sheet: Sheet, row: int, name: str) -> float:
    text = sheet.cells[name][row]
    moment = _moment(text)
    if moment is None:
        shown = f"'{printable(text, 40)}' is neither a number nor a date as 2000-12-31 or 2000-12-31T23:59:59"
        raise DataError(f"{sheet.at(row, name)}: {shown}")
    return moment


def _moment(text: str) -> float | None:
    """A number, or a date as its seconds; None: it is neither."""
    try:
        return float(text) if math.isfinite(float(text)) else None
    except ValueError:
        pass
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    zone = moment.tzinfo or datetime.UTC
    return moment.replace(tzinfo=zone).timestamp()


def _labels(sheet: Sheet, name: str, marks: list[list[str]], starts: Sequence[int]) -> list[str]:
    """The label of each series; raises DataError where it changes within one."""
    for start, of_steps in zip(starts, marks, strict=True):
        for place, text in enumerate(of_steps):
            if text != of_steps[0]:
                raise DataError(
                    f"{sheet.at(start + place, name)}: the label '{printable(text, 40)}' differs from "
                    f"'{printable(of_steps[0], 40)}' at the start of the series; a series has one label"
                )
    return [of_steps[0] for of_steps in marks]
