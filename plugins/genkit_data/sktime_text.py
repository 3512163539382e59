"""Series in the text format of sktime and aeon, `.ts`: a header of `@` lines, then a series per line.

The channels of a series stand between colons, the values of a channel between commas, and the class last.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from genkit.errors import DataError
from genkit.text import printable
from genkit_data.recordings import MISSING, Array, Recordings
from genkit_data.sizes import check_file, check_memory

SUFFIX = ".ts"
GROWTH = 12
"""About how many times the bytes of a file its text and numbers take in memory."""


class Header(NamedTuple):
    """What the lines before `@data` say, by their names in lower case, and the number of that line."""

    values: dict[str, str]
    line: int

    def says(self, name: str) -> bool:
        """Whether the header says that something is so."""
        return self.values.get(name, "false").lower().startswith("true")

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes; None: series have no class."""
        return tuple(self.values["classlabel"].split()[1:]) if self.says("classlabel") else None


def of_sktime_text(path: Path, option: str) -> Recordings:
    """The series of a `.ts` file; raises DataError with the line and the remedy."""
    where = f"{option}: {path}"
    check_memory(GROWTH * check_file(path, option), where)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    header = _header(lines, where)
    series, labels, dimensions = [], [], None
    for number, line in enumerate(lines[header.line :], header.line + 1):
        if not line.strip() or line.startswith(("#", "%")):
            continue
        at = f"{where}: line {number:,}"
        fields = line.split(":")
        if header.classes is not None or header.says("targetlabel"):
            labels.append(fields.pop().strip())
        if header.classes is not None and labels[-1] not in header.classes:
            raise DataError(
                f"{at}: the class '{printable(labels[-1], 40)}' is none of @classLabel: "
                f"{printable(', '.join(header.classes[:20]))}"
            )
        series.append(_series(fields, at))
        dimensions = dimensions or len(fields)
        if len(fields) != dimensions:
            raise DataError(f"{at}: {len(fields)} channels, and {dimensions} in the series before; all have as many")
    if not series:
        raise DataError(f"{where}: has no series below its line '@data'")
    notes = ("the target of each series is left out, as labels are classes",) if header.says("targetlabel") else ()
    return Recordings(where, series, labels=labels if header.classes else None, classes=header.classes, notes=notes)


def _header(lines: list[str], where: str) -> Header:
    values = {}
    for number, line in enumerate(lines, 1):
        name, _, value = line.strip().partition(" ")
        if name.lower() == "@data":
            break
        if name.startswith("@"):
            values[name[1:].lower()] = value.strip()
        elif name and not name.startswith(("#", "%")):
            raise DataError(
                f"{where}: line {number:,} stands before the line '@data' and is no line of a header: "
                f"'{printable(line, 40)}'; a .ts file has lines with @, '@data', and then a series per line"
            )
    else:
        raise DataError(f"{where}: has no line '@data', after which the series of a .ts file stand")
    header = Header(values, number)
    if header.says("timestamps"):
        raise DataError(f"{where}: its series have time stamps, which are not read; write their values alone")
    return header


def _series(fields: list[str], at: str) -> Array:
    """A series (T, F) from the text of each channel."""
    channels = [_channel(field, f"{at}, channel {place}") for place, field in enumerate(fields, 1)]
    lengths = [len(channel) for channel in channels]
    if len(set(lengths)) > 1:
        place = next(index for index, length in enumerate(lengths) if length != lengths[0])
        raise DataError(
            f"{at}: channel 1 has {lengths[0]} steps, and channel {place + 1} has {lengths[place]}; all channels of a "
            "series have as many: fill up what is missing with ?"
        )
    if not lengths or lengths[0] == 0:
        raise DataError(f"{at}: a series with a length of 0; leave it out, as it says nothing")
    return np.array(channels, dtype=np.float64).T


def _channel(text: str, at: str) -> list[float]:
    values = []
    for place, field in enumerate(text.split(",") if text.strip() else [], 1):
        value = field.strip()
        try:
            values.append(np.nan if value in MISSING else float(value))
        except ValueError:
            raise DataError(f"{at}: value {place} is no number: '{printable(value, 40)}'") from None
    return values
