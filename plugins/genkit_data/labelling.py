"""Labels of files in a table: a row per file, with its name and its class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from genkit.errors import DataError
from genkit.settings.base import nearest
from genkit.text import printable
from genkit_data.folders import Part, first_of
from genkit_data.sheets import Sheet, read_sheet

OPTION = "data.labels"


def labelled(parts: Mapping[str, Part], path: Path, columns: tuple[str, str], broken: set[str]) -> dict[str, Part]:
    """The images with the labels that a table gives them.

    Args:
        parts: the images by split.
        path: the table.
        columns: the names of its columns: of the files, by their paths in the root, and of the labels.
        broken: the files that are left out of the data, and may have a row.

    Raises:
        DataError: a column is missing, a file has two rows, none, or no label, or a row is that of no file.
    """
    sheet = read_sheet(path, None, "utf-8", option=OPTION)
    rows = _rows(sheet, columns)
    counts = Counter(name for part in parts.values() for name in part.names)
    twice = [name for name, count in counts.items() if count > 1]
    strange = [name for name in rows if name not in counts and name not in broken]
    without = [name for name in counts if name not in rows]
    faults = [
        (twice, "images of two folders have the same name, so no row says which of them it means: rename them"),
        (strange, "files that are not there; names are paths in data.root, such as cat/1.png: take their rows out"),
        (without, "images without a row: give them one, or move them away"),
    ]
    if any(names for names, _ in faults):
        raise DataError(
            *(f"{sheet.where}: {len(names):,} {text} ({first_of(names)})" for names, text in faults if names)
        )
    return {role: part._replace(labels=[rows[name] for name in part.names]) for role, part in parts.items()}


def _rows(sheet: Sheet, columns: tuple[str, str]) -> dict[str, str]:
    """The label of each file by its name."""
    for column in columns:
        if column not in sheet.cells:
            raise DataError(
                f"data.label_columns: {sheet.where} has no column '{printable(column)}'; {nearest(column, sheet.cells)}"
            )
    labels: dict[str, str] = {}
    first: dict[str, int] = {}
    for row, (text, label) in enumerate(zip(*(sheet.cells[column] for column in columns), strict=True)):
        name = text.replace("\\", "/").removeprefix("./")
        if name in labels:
            raise DataError(
                f"{sheet.at(row, columns[0])}: '{printable(name, 60)}' is on {sheet.unit} {sheet.lines[first[name]]:,} "
                "too; a file has one row"
            )
        if not label:
            raise DataError(f"{sheet.at(row, columns[1])}: the label of '{printable(name, 60)}' is missing")
        labels[name], first[name] = label, row
    return labels
