"""Data sets of Hugging Face: a folder that `save_to_disk` has written, or a name on the Hub.

N data.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from genkit.data.units import as_float
from genkit.errors import DataError, in_a_line
from genkit.interfaces import DataSource, RawData, Split
from genkit.interfaces.data import FILE, NAMES
from genkit.text import printable
from genkit_data import arrow, pixels
from genkit_data.coding import Array, coded
from genkit_data.features import columns_of, is_image, names_of
from genkit_data.images import COLOURS, Byte, Pixels
from genkit_data.pixels import Picture, UnreadableError
from genkit_data.scales import conversion, scaled
from genkit_data.sizes import check_array

SAVED = ("dataset_dict.json", "state.json")
"""The files of a folder that `save_to_disk` has written: of several splits, of one."""
NO_LABEL = -1
"""What data sets without labels have in a column of classes."""


class HuggingFace(DataSource):
    """A data set as the library `datasets` reads it: images, or arrays and sequences of numbers of one shape.

    Images are brought to `size` as those of a folder are. Bytes (uint8) stand for x / 255; other numbers stay as they
    are, unless `range` states their limits. Labels keep the names of their `ClassLabel`; others are sorted.

    Args:
        config: the folder or the name, its splits and its columns.
    """

    class Config(DataSource.Config):
        """Options of a data set of Hugging Face."""

        name: Literal["huggingface"] = "huggingface"
        path: Annotated[
            str, FILE, Field(description="a folder that save_to_disk has written, or the name of a data set on the Hub")
        ]
        subset: Annotated[str | None, NAMES, Field(description="the configuration of a data set on the Hub")] = None
        revision: Annotated[
            str | None, NAMES, Field(description="the commit, tag or branch of a data set on the Hub; null: the newest")
        ] = None
        split: Annotated[str, NAMES, Field(description="the split that trains")] = "train"
        validation_split: Annotated[
            str | None, NAMES, Field(description="the split for validation; null: `validation`, if it is there")
        ] = None
        test_split: Annotated[
            str | None, NAMES, Field(description="the split for the final figures; null: `test`, if it is there")
        ] = None
        x: Annotated[
            str | None,
            NAMES,
            Field(description="the column of the data; null: the only one of images, or else of arrays of numbers"),
        ] = None
        label: Annotated[
            str | None, NAMES, Field(description="the column of the labels; null: the only one of classes, if any")
        ] = None
        id: Annotated[
            str | None,
            NAMES,
            Field(description="the column of the names of the data, each there once; null: they have numbers alone"),
        ] = None
        size: Annotated[
            tuple[Pixels, Pixels] | None,
            Field(description="the size that images are brought to: [height, width]; null: all have one size"),
        ] = None
        colour: Annotated[bool, Field(description="whether images have three channels; false: one, grey")] = False
        background: Annotated[
            Literal["white", "black"] | tuple[Byte, Byte, Byte],
            Field(description="the colour behind transparent pixels: white, black, or [red, green, blue] in bytes"),
        ] = "white"
        range: Annotated[
            tuple[float, float] | None,
            Field(description="the least and the greatest value, which become 0 and 1; null: values stay as they are"),
        ] = None

    config: Config

    def load(self) -> RawData:
        """Read the data set; raises DataError naming what it holds where a name is wrong."""
        splits = self._splits(_opened(self.config))
        features = splits["train"].features
        config = self.config
        columns = columns_of(features, {"x": config.x, "label": config.label, "id": config.id}, config.path)
        tables = {role: split.with_format("arrow")[:] for role, split in splits.items()}
        read = self._images if is_image(features[columns.x]) else self._arrays
        data = {role: read(table.column(columns.x), self._at(role, columns.x)) for role, table in tables.items()}
        labels, classes = self._labels(tables, columns.label, features)
        alike = len({x.dtype for x, _ in data.values()}) == 1
        parts = {role: Split(x if alike else as_float(x), labels[role]) for role, (x, _) in data.items()}
        ids = {} if columns.id is None else {role: self._ids(tables[role], columns.id, role) for role in splits}
        notes = dict.fromkeys(note for _, said in data.values() for note in said)
        return RawData(
            parts["train"],
            parts.get("test"),
            classes,
            parts.get("validation"),
            (f"column '{printable(columns.x)}'", *notes),
            ids=ids,
        )

    def _at(self, role: str, column: str) -> str:
        return f"data '{self.config.name}', {role} split, column '{printable(column)}'"

    def _splits(self, opened: Mapping[str, Any]) -> dict[str, Any]:
        """The data of each split that there is; raises DataError where a name is none of the data set's."""
        config = self.config
        train = next(iter(opened)) if len(opened) == 1 and config.split == "train" else config.split
        names = {"train": train, "validation": config.validation_split, "test": config.test_split}
        for role in ("validation", "test"):
            if names[role] is None and role in opened and role not in names.values():
                names[role] = role
        taken = {role: name for role, name in names.items() if name is not None}
        for role, name in taken.items():
            option = "split" if role == "train" else f"{role}_split"
            if name not in opened:
                has = ", ".join(map(printable, opened))
                raise DataError(f"data.{option}: {config.path} has no split '{printable(name)}'; it has {has}")
            if list(taken.values()).count(name) > 1:
                raise DataError(f"data.{option}: split '{printable(name)}' has another role too; each has its own")
        return {role: opened[name] for role, name in taken.items()}

    def _arrays(self, column: Any, where: str) -> tuple[Tensor, tuple[str, ...]]:
        """A column of numbers as data (N, *shape), and notes."""
        x = arrow.numbers(column, where)
        check_array(x.shape, x.dtype, where)
        x = x[:, np.newaxis] if x.ndim == 1 else x
        return scaled(x, self.config.range), conversion(x.dtype)

    def _images(self, column: Any, where: str) -> tuple[Tensor, tuple[str, ...]]:
        """A column of images as data (N, C, H, W), and notes."""
        from PIL.Image import DecompressionBombWarning

        cells = column.to_pylist()
        with warnings.catch_warnings(), ThreadPoolExecutor() as pool:  # pillow lets other threads run while it decodes
            warnings.simplefilter("error", DecompressionBombWarning)  # such an image counts as broken
            size = self.config.size or self._size(cells, where)
            pictures = list(pool.map(partial(self._picture, size=size, where=where), range(len(cells)), cells))
        facts = dict.fromkeys(fact for each in pictures for fact in each.facts if fact != pixels.BYTES)
        return pixels.stacked(pictures, self.config.range), ("colour" if self.config.colour else "grey", *facts)

    def _size(self, cells: Sequence[Any], where: str) -> tuple[int, int]:
        """The one size of all images; raises DataError where there are several."""
        sizes: dict[tuple[int, int], int] = {}
        for row, cell in enumerate(cells):
            try:
                sizes.setdefault(pixels.upright_size(_content(cell)), row)
            except UnreadableError:
                raise DataError(f"{where}: row {row:,}: the image cannot be read") from None
        (first, _), *others = sizes.items()
        if others:
            (height, width), row = others[0]
            raise DataError(
                f"{where}: images differ in size: row 0 has {first[0]}×{first[1]} and row {row:,} {height}×{width}; "
                f"data.size=[{first[0]},{first[1]}] brings all to one"
            )
        return first

    def _picture(self, row: int, cell: Any, size: tuple[int, int], where: str) -> Picture:
        config = self.config
        background = COLOURS[config.background] if isinstance(config.background, str) else config.background
        try:
            return pixels.read(_content(cell), size, config.colour, background, config.range is not None)
        except UnreadableError as error:
            reason = f": {error}" if str(error) else ""
            raise DataError(f"{where}: row {row:,}: the image cannot be read{reason}") from None

    def _labels(
        self, tables: Mapping[str, Any], name: str | None, features: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor | None], tuple[str, ...] | None]:
        """The labels (N,) of each split, and the names of the classes."""
        if name is None:
            return dict.fromkeys(tables), None
        columns = {role: table.column(name) for role, table in tables.items()}
        for role, column in columns.items():
            if column.null_count:
                raise DataError(f"{self._at(role, name)}: {column.null_count:,} labels are missing")
        values = {role: np.array(column.to_pylist()) for role, column in columns.items()}
        names = names_of(features[name])
        if names is not None:
            return {role: self._indices(each, self._at(role, name)) for role, each in values.items()}, names
        labels, classes = coded(list(values.values()), f"data.label: column '{printable(name)}'")
        return dict(zip(tables, labels, strict=True)), classes

    def _indices(self, values: Array, where: str) -> Tensor | None:
        """Labels as they are; None: all are -1, which stands for no label."""
        bare = int((values == NO_LABEL).sum())
        if bare == len(values):
            return None
        if bare:
            raise DataError(f"{where}: {bare:,} of {len(values):,} data have no label (-1); leave them out")
        return torch.from_numpy(values.astype(np.int64))

    def _ids(self, table: Any, name: str, role: str) -> tuple[str, ...]:
        """The names of the data of a split; raises DataError where one is missing, or there twice."""
        seen: dict[str, int] = {}
        for row, value in enumerate(table.column(name).to_pylist()):
            text = "" if value is None else str(value)
            if not text or text in seen:
                fault = f"'{printable(text, 40)}' is that of row {seen[text]:,} too" if text else "is missing"
                raise DataError(f"{self._at(role, name)}: row {row:,}: the id {fault}; each datum has one")
            seen[text] = row
        return tuple(seen)


def _opened(config: HuggingFace.Config) -> Mapping[str, Any]:
    """The splits of the data set by their names; raises DataError where it cannot be read."""
    try:
        import datasets
    except ImportError:
        raise DataError("data 'huggingface' needs datasets; pip install 'genkit-torch[huggingface]'") from None
    path = Path(config.path).expanduser()
    if not path.exists() and (path.is_absolute() or config.path.startswith(".") or config.path.count("/") > 1):
        raise DataError(f"data.path: {path}: there is no such folder")  # and no name on the Hub
    try:
        if any((path / name).is_file() for name in SAVED):
            opened = datasets.load_from_disk(str(path))
        else:
            name = str(path) if path.exists() else config.path
            opened = datasets.load_dataset(name, config.subset, revision=config.revision)
    except Exception as error:  # datasets, pyarrow and the network raise nearly anything
        raise DataError(f"data.path: {config.path} cannot be read as a data set: {in_a_line(error)}") from None
    splits: Mapping[str, Any] = opened if isinstance(opened, dict) else {"train": opened}
    return splits


def _content(cell: Any) -> Path | IO[bytes]:
    """The file of an image, or its bytes."""
    if cell is None or (cell["bytes"] is None and cell["path"] is None):
        raise UnreadableError("is missing")
    return Path(cell["path"]) if cell["bytes"] is None else io.BytesIO(cell["bytes"])
