"""Tables in CSV, TSV and Parquet files.

N rows, D places of a datum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import Column, DataSource, RawData, Side, Split
from genkit.interfaces.columns import laid_out
from genkit.interfaces.data import FILE, NAMES, RELATIVE
from genkit.settings.base import nearest
from genkit.text import printable
from genkit_data.codes import encoded
from genkit_data.kinds import Reading, column_of, in_order
from genkit_data.sheets import Sheet, read_sheet

MISSING = ("NA", "N/A", "NaN", "nan", "null", "NULL", "None")
NAMED = 10
"""The number of names that a note lists."""
CLASSES = 1000
"""The largest number of classes of a label."""
WIDE = 2**24
"""The greatest whole number up to which float32 holds all of them."""
OWN_KINDS = ("numeric", "categorical", "boolean", "date")

SUFFIXES = (".csv", ".tsv", ".parquet")
"""The suffixes of files that are taken for tables where nobody says what they are."""


class Tables(DataSource):
    """A table in a file, each row a datum (D,): CSV, TSV or any other text with a delimiter, or Parquet.

    Columns are numeric, dates (as days since 1970-01-01), boolean or categorical (one-hot), by their values, and those
    with missing values have a mark; `genkit.interfaces.columns` says where each is. A trained model reads other files
    by the columns of its training data: by their names, in any order, with the same categories.

    Args:
        config: the file, its columns, and the splits; the source has no test split of its own.
        columns: the columns of the training data of a trained model; (): found in the file.
        side: the side data of that model, whose labels have the names of its classes.
    """

    asks = ("columns", "side")

    class Config(DataSource.Config):
        """Options of tables."""

        name: Literal["table"] = "table"
        path: Annotated[str, FILE, Field(description=f"the file: text, or .parquet; {RELATIVE}")]
        columns: Annotated[
            tuple[str, ...] | None, NAMES, Field(description="the columns to read; null: all but those of `drop`")
        ] = None
        drop: Annotated[tuple[str, ...], NAMES, Field(description="columns that are left out")] = ()
        label: Annotated[
            str | None, NAMES, Field(description="the column of the labels, which the model does not see; null: none")
        ] = None
        id: Annotated[
            str | None,
            NAMES,
            Field(description="the column of the names of the rows, each there once; null: rows have numbers alone"),
        ] = None
        missing: Annotated[
            tuple[str, ...],
            NAMES,
            Field(description="what stands for a missing value; an empty field always does"),
        ] = MISSING
        types: Annotated[
            dict[str, Literal["numeric", "categorical", "boolean", "date"]],
            NAMES,
            Field(description="the kinds of columns by name, where they are not those that their values show"),
        ] = {}  # noqa: RUF012
        delimiter: Annotated[
            str | None,
            NAMES,
            Field(min_length=1, max_length=1, description="what divides fields; null: , ; tab or |, by the header"),
        ] = None
        encoding: Annotated[str, NAMES, Field(description="how the text is coded")] = "utf-8"
        decimal: Annotated[Literal[".", ","], Field(description="the decimal point")] = "."
        dates: Annotated[
            str | None,
            NAMES,
            Field(description="how dates are written, such as %d/%m/%Y; null: recognised, if there is one way alone"),
        ] = None

    config: Config

    def __init__(
        self, config: Config, columns: tuple[Column, ...] = (), side: Mapping[str, Side] | None = None
    ) -> None:
        super().__init__(config)
        self.trained, self.side = columns, side or {}
        missing = frozenset((*config.missing, ""))
        self.reading = Reading(missing, config.decimal, config.dates)

    @classmethod
    def options_for(cls, path: Path) -> dict[str, Any] | None:
        """A text or Parquet file, by its suffix."""
        return {"path": str(path)} if path.suffix in SUFFIXES and path.is_file() else None

    def load(self) -> RawData:
        """Read the file; raises DataError with the line, the column and the remedy."""
        config = self.config
        sheet = read_sheet(Path(config.path).expanduser(), config.delimiter, config.encoding, config.drop)
        if not self.trained:
            self._check_names(sheet)
        ids = self._ids(sheet)
        labels, classes = self._labels(sheet)
        columns, notes, doubts = self._trained(sheet) if self.trained else self._of_file(sheet)
        x = encoded(sheet, columns, self.reading)
        return RawData(
            Split(x, labels),
            classes=classes,
            notes=notes,
            doubts=(*doubts, *_lost_digits(x, columns)),
            columns=columns,
            ids={"train": ids} if ids is not None else {},
        )

    def _check_names(self, sheet: Sheet) -> None:
        """Refuse options that name a column that the file lacks; raises DataError with the nearest name."""
        config = self.config
        named = {"columns": config.columns or (), "drop": config.drop, "types": config.types}
        named |= {"label": (config.label,) if config.label else (), "id": (config.id,) if config.id else ()}
        faults = [
            f"data.{option}: {sheet.where} has no column '{printable(name)}'; {nearest(name, sheet.cells)}"
            for option, names in named.items()
            for name in names
            if name not in sheet.cells
        ]
        if faults:
            raise DataError(*faults)

    def _ids(self, sheet: Sheet) -> tuple[str, ...] | None:
        """The names of the rows; raises DataError where one is missing, or there twice."""
        name = self.config.id
        if name is None or name not in sheet.cells:
            return None
        seen: dict[str, int] = {}
        for row, text in enumerate(sheet.cells[name]):
            if text in self.reading.missing:
                raise DataError(f"{sheet.at(row, name)}: the id is missing; each row has one, or leave data.id out")
            if text in seen:
                first = f"{sheet.unit} {sheet.lines[seen[text]]:,}"
                raise DataError(f"{sheet.at(row, name)}: the id '{printable(text, 40)}' is that of {first} too")
            seen[text] = row
        return tuple(seen)

    def _labels(self, sheet: Sheet) -> tuple[Tensor | None, tuple[str, ...] | None]:
        """The labels (N,) and the names of their classes, those of the training data where there are some."""
        own = self.side["labels"].names if self.trained and "labels" in self.side else None
        name = self.config.label
        if name is None or name not in sheet.cells:
            return None, own
        cells = sheet.cells[name]
        for row, text in enumerate(cells):
            if text in self.reading.missing:
                raise DataError(f"{sheet.at(row, name)}: the label is missing; fill it in, or leave the row out")
            if own is not None and text not in own:
                listed = ", ".join(map(printable, own[:NAMED]))
                raise DataError(f"{sheet.at(row, name)}: '{printable(text, 40)}' is no class of the model: {listed}")
        classes = own or in_order(set(cells))
        if len(classes) > CLASSES:
            raise DataError(
                f"data.label: column '{printable(name)}' has {len(classes):,} different values; a label has classes, "
                f"up to {CLASSES:,}"
            )
        places = {text: place for place, text in enumerate(classes)}
        return torch.tensor([places[text] for text in cells]), classes

    def _names(self, sheet: Sheet) -> list[str]:
        """The names of the columns that the model may see, in the order of the file."""
        config = self.config
        apart = {*config.drop, config.label, config.id}
        return [name for name in sheet.cells if name not in apart and name in (config.columns or sheet.cells)]

    def _of_file(self, sheet: Sheet) -> tuple[tuple[Column, ...], tuple[str, ...], tuple[str, ...]]:
        """The columns that a file has, notes on what they are taken for, and doubts."""
        columns: list[Column] = []
        texts: list[str] = []
        faults: list[str] = []
        for name in self._names(sheet):
            try:
                column = column_of(sheet, name, self.config.types.get(name), self.reading)
            except DataError as error:
                faults.extend(error.args)
                continue
            if column is None:
                texts.append(name)
            else:
                columns.append(column)
        if faults:
            raise DataError(*faults)
        if not any(column.width for column in columns):
            raise DataError(f"{sheet.where}: no column has different values that a model could learn")
        return laid_out(columns), tuple(_notes(sheet, columns, self.reading)), tuple(_texts(sheet, texts))

    def _trained(self, sheet: Sheet) -> tuple[tuple[Column, ...], tuple[str, ...], tuple[str, ...]]:
        """The columns of the training data; raises DataError where the file lacks some."""
        wanted = [column.name for column in self.trained if column.width or column.mark is not None]
        lacking = [name for name in wanted if name not in sheet.cells]
        others = [name for name in self._names(sheet) if name not in {column.name for column in self.trained}]
        if lacking:
            has = f"it has {_listed(others)} instead" if others else f"it has {_listed(list(sheet.cells))}"
            raise DataError(f"{sheet.where}: lacks columns that the model was trained on: {_listed(lacking)}; {has}")
        doubts = (f"columns that the model was not trained on are left out: {_listed(others)}",) if others else ()
        return self.trained, ("columns as in the training data",), doubts


def _notes(sheet: Sheet, columns: Sequence[Column], reading: Reading) -> list[str]:
    """Notes on the kinds of columns, on missing values, and on columns of one value."""
    kinds = {kind: [column for column in columns if column.kind == kind] for kind in OWN_KINDS}
    parts = [f"{kind} {_listed([_sized(each) for each in some])}" for kind, some in kinds.items() if some]
    marked = [c.name for c in columns if c.mark is not None]
    missing = [f"{name} {sum(cell in reading.missing for cell in sheet.cells[name]):,}" for name in marked]
    lines = [f"columns: {'; '.join(parts)}"]
    if kinds["date"]:
        lines.append("dates: days since 1970-01-01")
    if missing:
        lines.append(f"missing values, each with a mark: {_listed(missing)}")
    constant = [f"{c.name} ('{c.categories[0]}')" for c in columns if c.kind == "constant" and c.categories]
    empty = [c.name for c in columns if c.kind == "constant" and not c.categories]
    if constant:
        lines.append(f"left out, as they have one value alone: {_listed(constant)}")
    if empty:
        lines.append(f"left out, as all values are missing: {_listed(empty)}")
    return lines


def _texts(sheet: Sheet, names: Sequence[str]) -> list[str]:
    """A doubt about columns of text that are left out."""
    if not names:
        return []
    listed = _listed([f"{name} ({len(set(sheet.cells[name])):,})" for name in names])
    return [
        f"columns of text with many different values are left out: {listed}; data.types={{{printable(names[0])}: "
        "categorical} takes one all the same, data.drop leaves it out without a word"
    ]


def _lost_digits(x: Tensor, columns: Sequence[Column]) -> list[str]:
    """A doubt about whole numbers of which float32 holds not all digits."""
    large = [c.name for c in columns if c.kind == "numeric" and c.decimals == 0 and x[:, c.start].abs().max() > WIDE]
    if not large:
        return []
    return [f"whole numbers above {WIDE:,} lose digits: {_listed(large)}; if they are ids, leave them out: data.drop"]


def _sized(column: Column) -> str:
    return f"{column.name} ({len(column.categories)})" if column.kind == "categorical" else column.name


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return printable(", ".join(names[:NAMED]) + more)
