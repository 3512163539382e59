"""Tables in files as text: the cells of each column, and the line of each row."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from genkit.errors import DataError
from genkit.text import printable
from genkit_data.sizes import check_file, check_memory

DELIMITERS = (",", ";", "\t", "|")
"""The delimiters that are looked for, the likeliest first."""
PARQUET = (".parquet", ".pq")
GROWTH = 12
"""About how many times the bytes of a file its cells take in memory."""
SHOWN = 60
"""The largest number of characters of a header that a message quotes."""


class Sheet(NamedTuple):
    """A table as text; a cell without a value is empty."""

    where: str
    """The option and the file, for messages."""
    cells: dict[str, list[str]]
    """The cells of each column by its name, without spaces around them."""
    lines: list[int]
    """The line of each row, from 1; of a Parquet file, which has no lines, the number of the row."""
    unit: str = "line"

    def at(self, row: int, column: str) -> str:
        """The place of a cell, for messages."""
        return f"{self.where}: {self.unit} {self.lines[row]:,}, column '{printable(column)}'"


def read_sheet(
    path: Path, delimiter: str | None, encoding: str, drop: Collection[str] = (), option: str = "data.path"
) -> Sheet:
    """The table of a file: Parquet by its suffix, else text with a delimiter.

    Args:
        path: the file.
        delimiter: what stands between fields; None: found in the header.
        encoding: how the text is coded; a byte order mark is passed over.
        drop: columns whose cells are not wanted, which may hold anything.
        option: the option that names the file, for messages.

    Raises:
        DataError: the file is missing, empty, not text, or no table; with the line and the remedy.
    """
    where = f"{option}: {path}"
    size = check_file(path, option)
    check_memory(GROWTH * size, where)
    if path.suffix.lower() in PARQUET:
        return _parquet(path, where, drop)
    text = _text(path, where, encoding)
    header = next((line for line in text.splitlines() if line.strip()), None)
    if header is None:
        raise DataError(f"{where}: is empty; a table has a line with the names of its columns, and rows below it")
    likely = _delimiter(header)
    if delimiter is not None and _width(header, delimiter) == 1 < _width(header, likely):
        shown = printable(header, SHOWN)
        raise DataError(
            f"{where}: the header is one column, '{shown}': '{printable(delimiter)}' does not divide it; "
            f"data.delimiter='{printable(likely)}' does"
        )
    return _rows(text, delimiter or likely, where)


def _text(path: Path, where: str, encoding: str) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise DataError(
            f"data.encoding: there is no encoding '{printable(encoding)}'; try utf-8, latin-1, utf-16"
        ) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        other = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
        raise DataError(
            f"{where}: line {line:,} is not {printable(encoding)}: byte 0x{content[error.start]:02x}; "
            f"if the text is {other}, data.encoding={other} reads it"
        ) from None


def _width(header: str, delimiter: str) -> int:
    return len(next(csv.reader([header], delimiter=delimiter), []))


def _delimiter(header: str) -> str:
    """The delimiter that makes the most columns of a header."""
    return max(DELIMITERS, key=lambda each: _width(header, each))


def _rows(text: str, delimiter: str, where: str) -> Sheet:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] = []
    columns: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            if not names:
                names = _names(row, where, reader.line_num)
                columns = [[] for _ in names]
                continue
            if len(row) != len(names):
                raise DataError(
                    f"{where}: line {reader.line_num:,} has {len(row):,} fields, and the header has {len(names):,}; "
                    f"mend the line, or put quotes around a field that holds '{printable(delimiter)}'"
                )
            for cells, cell in zip(columns, row, strict=True):
                cells.append(cell.strip())
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{where}: line {reader.line_num:,}: {error}; mend its quotes") from None
    if not lines:
        raise DataError(f"{where}: has a header of {len(names):,} columns, and no row below it")
    return Sheet(where, dict(zip(names, columns, strict=True)), lines)


def _names(header: Iterable[str], where: str, line: int) -> list[str]:
    """The names of columns; one without a name is called by its place. Raises DataError where a name is there twice."""
    names = [name.strip() or f"column_{place}" for place, name in enumerate(header, 1)]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise DataError(
                f"{where}: line {line:,}: columns {names.index(name) + 1} and {place + 1} are both called "
                f"'{printable(name)}', spaces aside; rename one of them"
            )
    if all(_is_number(name) for name in names):
        raise DataError(
            f"{where}: line {line:,} holds numbers where the names of the columns should be; put a line of names above"
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parquet(path: Path, where: str, drop: Collection[str]) -> Sheet:
    try:
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{where}: .parquet needs pyarrow; pip install 'genkit-torch[tables]'") from None
    try:
        table = parquet.read_table(path)
        names = _names(table.column_names, where, 1)
        columns = {name: column.to_pylist() for name, column in zip(names, table.columns, strict=True)}
    except (OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{where}: cannot be read as .parquet: {str(error).splitlines()[0]}") from None
    if table.num_rows == 0:
        raise DataError(f"{where}: has a header of {len(names):,} columns, and no row below it")
    cells = {
        name: [""] * table.num_rows if name in drop else [_cell(value, where, name) for value in values]
        for name, values in columns.items()
    }
    return Sheet(where, cells, list(range(1, table.num_rows + 1)), "row")


def _cell(value: Any, where: str, name: str) -> str:
    """A value of a Parquet file as a text file would have it."""
    if value is None or value != value:
        return ""
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return (value.date() if midnight else value).isoformat()
    if isinstance(value, bytes | list | dict | tuple):
        kind = type(value).__name__
        raise DataError(
            f"{where}: column '{printable(name)}' holds {kind}; leave it out: data.drop=[{printable(name)}]"
        )
    return value.isoformat() if isinstance(value, datetime.date) else str(value).strip()
