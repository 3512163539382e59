"""Arrays of any shape in files: the source for your own data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Split
from genkit.interfaces.data import FILE, NAMES, RELATIVE, Files
from genkit_data import filed
from genkit_data.coding import Array
from genkit_data.factors import Labels, labels_of
from genkit_data.mapped import StaysInFiles
from genkit_data.opened import Opened
from genkit_data.shards import matching
from genkit_data.stored import NPY, SUFFIXES

LABELS = "labels"
"""The name of labels that no option names."""


class Wanted(NamedTuple):
    """What the config says of the data of a split."""

    files: filed.Files
    labels: str | None
    of_labels: str
    """The option that names the labels, for messages."""


class Arrays(DataSource):
    """An array (N, *shape) of one or several files, with labels (N,) if the files have them.

    Files are .npy, .npz, .safetensors, .h5 or .hdf5, and .mat. Bytes (uint8) stand for x / 255; other numbers stay as
    they are, unless `range` states their limits. Labels are whole numbers or text; they become indices into their
    sorted values, which are the names of the classes. Validation and test data are shares of the data, or have files or
    arrays of their own. Of labels with several columns (N, L), `factors` names the columns: one is the label, and
    the others are side data under their names.

    Args:
        config: the files, and the splits.
    """

    class Config(DataSource.Config):
        """Options of arrays."""

        name: Literal["arrays"] = "arrays"
        path: Annotated[
            Files,
            Field(
                description="the file: .npy, .npz, .safetensors, .h5, .hdf5 or .mat; or several, whose data follow "
                f"each other: a list, or a pattern such as part-*.npy; {RELATIVE}"
            ),
        ]
        validation_path: Annotated[
            Files | None, FILE, Field(description="the files of the validation data; null: they are those of `path`")
        ] = None
        test_path: Annotated[
            Files | None, FILE, Field(description="the files of the test data; null: they are those of `path`")
        ] = None
        key: Annotated[str, NAMES, Field(description="the array's name in a file that has several")] = "x"
        validation_key: Annotated[
            str | None, NAMES, Field(description="the name of the array of validation data; null: that of `key`")
        ] = None
        test_key: Annotated[
            str | None, NAMES, Field(description="the name of the array of test data; null: that of `key`")
        ] = None
        labels: Annotated[
            str | None,
            FILE,
            Field(
                description="the labels: their name in the same file, or another file; null: `labels`, if it is there"
            ),
        ] = None
        validation_labels: Annotated[
            str | None, FILE, Field(description="the same for the validation data; null: the name of `labels`")
        ] = None
        test_labels: Annotated[
            str | None, FILE, Field(description="the same for the test data; null: the name of `labels`")
        ] = None
        factors: Annotated[
            tuple[str, ...], NAMES, Field(description="the names of the columns of the labels; []: there is one column")
        ] = ()
        label: Annotated[
            str | None,
            NAMES,
            Field(description="the name of the factor that is the label; null: the first. The others are side data"),
        ] = None
        range: Annotated[
            tuple[float, float] | None,
            Field(description="the least and the greatest value, which become 0 and 1; null: values stay as they are"),
        ] = None
        mapped: StaysInFiles = None

        @model_validator(mode="after")
        def _factors_have_names(self) -> Arrays.Config:
            bad = [name for name in self.factors if not name.isidentifier() or name == LABELS]
            if bad or len(set(self.factors)) < len(self.factors):
                raise PydanticCustomError("factors", "must be names such as shape_2, each once, and not labels")
            if self.label is not None and self.label not in self.factors:
                raise PydanticCustomError("label", "label must be one of factors")
            return self

    config: Config

    @classmethod
    def options_for(cls, path: Path) -> dict[str, Any] | None:
        """A file of arrays, by its suffix."""
        return {"path": str(path)} if path.suffix in SUFFIXES and path.is_file() else None

    def load(self) -> RawData:
        """Read the files; raises DataError naming the file, and what it holds where a name is wrong."""
        opened, wanted, config = Opened(), self._wanted(), self.config
        mapped = filed.stay_in_files((each.files for each in wanted.values()), config.mapped)
        data = {role: filed.read(each.files, mapped, config.range, opened) for role, each in wanted.items()}
        self._check_types({role: x.dtype for role, (x, _) in data.items()}, wanted)
        labels = labels_of(self._labels(wanted, opened), config.factors, config.label)
        parts = {role: Split(x, labels.labels[role], labels.side[role]) for role, (x, _) in data.items()}
        notes = dict.fromkeys(note for _, said in data.values() for note in said)
        return RawData(
            parts["train"],
            parts.get("test"),
            labels.classes,
            parts.get("validation"),
            notes=(*notes, *_factor_notes(labels), *opened.notes()),
            doubts=tuple(_strange_classes(labels)),
            side=labels.sides,
        )

    def _wanted(self) -> dict[str, Wanted]:
        """The splits that have files or arrays of their own, and the training data."""
        config = self.config
        train = filed.Files(matching(config.path, "data.path"), config.key)
        wanted = {"train": Wanted(train, config.labels, "data.labels")}
        for role in ("validation", "test"):
            path, key, labels = (getattr(config, f"{role}_{option}") for option in ("path", "key", "labels"))
            if path is None and key is None:
                continue
            option = "data.path" if path is None else f"data.{role}_path"
            paths = train.paths if path is None else matching(path, option)
            files = filed.Files(paths, key or config.key, option, "data.key" if key is None else f"data.{role}_key")
            if labels is None and (config.labels is None or not _is_file(config.labels)) and path is not None:
                wanted[role] = Wanted(files, config.labels, "data.labels")
            else:
                wanted[role] = Wanted(files, labels or "", f"data.{role}_labels")
        return wanted

    def _check_types(self, types: Mapping[str, torch.dtype], wanted: Mapping[str, Wanted]) -> None:
        """Refuse bytes beside other numbers, which have another scale; raises DataError."""
        for role, dtype in types.items():
            if dtype != types["train"]:
                raise DataError(
                    f"{wanted[role].files.option}: the {role} data are {dtype} and the training data "
                    f"{types['train']}, and bytes stand for x / 255: save both alike, or state data.range=[LOW,HIGH]"
                )

    def _labels(self, wanted: Mapping[str, Wanted], opened: Opened) -> dict[str, Array | None]:
        """The labels of each split; raises DataError where some of them lie nowhere."""
        labels: dict[str, Array | None] = {}
        for role, each in wanted.items():
            if each.labels == "" and labels["train"] is not None:
                raise DataError(
                    f"{each.of_labels}: says where the labels of the {role} split are, as the training data have some"
                )
            labels[role] = _labels_of(each, opened)
        return labels


def _is_file(name: str) -> bool:
    return Path(name).suffix in SUFFIXES


def _labels_of(wanted: Wanted, opened: Opened) -> Array | None:
    """The labels of all data of a split: those of their files, or of a file of labels."""
    name, files = wanted.labels, wanted.files
    if name == "":
        return None
    if name is not None and _is_file(name):
        path = Path(name).expanduser()
        key = LABELS if LABELS in opened.file(path, wanted.of_labels) else "x"
        return opened.array(path, key, wanted.of_labels, wanted.of_labels)
    parts = [None if path.suffix == NPY else _own_labels(path, wanted, opened) for path in files.paths]
    there = [labels for labels in parts if labels is not None]
    if there and len(there) < len(parts):
        without = next(path for labels, path in zip(parts, files.paths, strict=True) if labels is None)
        raise DataError(f"{files.option}: {without} holds no labels, and other files do; all have them, or none")
    if name is not None and not there:
        raise DataError(f"{wanted.of_labels}: {files.paths[0]} holds no '{name}'; it holds the data alone")
    return np.concatenate(there) if there else None


def _own_labels(path: Path, wanted: Wanted, opened: Opened) -> Array | None:
    """The labels in a file of data; None: no option names them, and they are not there."""
    if wanted.labels is None and LABELS not in opened.file(path, wanted.files.option):
        return None
    return opened.array(path, wanted.labels or LABELS, wanted.files.option, wanted.of_labels)


def _factor_notes(labels: Labels) -> list[str]:
    """A line on the factors beside the label."""
    names = [f"{name} ({side.classes or 'numbers'})" for name, side in labels.sides.items()]
    return [f"factors beside the label, with their classes: {', '.join(names)}"] if names else []


def _strange_classes(labels: Labels) -> list[str]:
    """Doubts about classes that no training datum has."""
    doubts, train = [], labels.labels["train"]
    for role, values in labels.labels.items():
        if train is None or values is None or labels.classes is None:
            continue
        others = [labels.classes[place] for place in sorted({*values.tolist()} - {*train.tolist()})]
        if others:
            doubts.append(f"{role} split: no training datum is of the classes {', '.join(others[:NAMED])}")
    return doubts


NAMED = 5
"""The number of classes that a doubt lists."""
