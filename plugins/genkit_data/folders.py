"""The files of an image folder: which of them are data, and what their folders say: classes, or splits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import RawData, Split

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
LEFTOVERS = {"__MACOSX", "Thumbs.db", "desktop.ini"}
"""What systems leave in folders, beside names that start with a dot."""
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""The names of folders, in small letters, that stand for a split."""
NAMED = 3
"""The number of names that a note lists."""


class Listing(NamedTuple):
    """The images of a folder, in order, and what is left out of it."""

    files: list[Path]
    hidden: list[str]
    links: list[str]
    others: list[str]

    def notes(self) -> tuple[str, ...]:
        """A line on what is left out."""
        kinds = (("hidden", self.hidden), ("linked folders", self.links), ("no images by their names", self.others))
        parts = [f"{len(names):,} {kind} ({_first(names)})" for kind, names in kinds if names]
        return (f"left out: {', '.join(parts)}",) if parts else ()


def listing(root: Path, own: str) -> Listing:
    """The images in a folder and below it; names that match `own` belong to genkit, and are not mentioned.

    Raises:
        DataError: a folder cannot be read, or there is no image.
    """
    names = Listing([], [], [], [])
    for folder, folders, files in os.walk(root, onerror=_refuse):
        here = Path(folder)
        names.hidden.extend(name for name in (*folders, *files) if _hidden(name) and not Path(name).match(own))
        folders[:] = [name for name in folders if not _hidden(name)]
        names.links.extend(name for name in folders if (here / name).is_symlink())
        for path in (here / name for name in files if not _hidden(name)):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                names.files.append(path)
            else:
                names.others.append(path.name)
    if not names.files:
        left = "".join(f"; {note}" for note in names.notes())
        raise DataError(f"data.root: {root} holds no images ({', '.join(SUFFIXES)}){left}")
    names.files.sort()
    return names


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"data.root: {error.filename}: cannot be read: {error.strerror}")


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in LEFTOVERS


def _first(names: Sequence[str]) -> str:
    distinct = sorted(set(names))
    more = ", ..." if len(distinct) > NAMED else ""
    return ", ".join(_as_text(name) for name in distinct[:NAMED]) + more


def _as_text(name: str) -> str:
    """A file's name as text that can be printed and written, even where it is no UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def arranged(pixels: Tensor, files: Sequence[Path], folders: str) -> RawData:
    """Images (N, C, H, W) as splits and classes.

    Args:
        pixels: the images.
        files: their paths in the root, one per image.
        folders: what the folders in the root stand for: `classes`, `splits`, or `auto`, splits where all of them have
            the names of such.

    Raises:
        DataError: the folders are to be splits, and are none.
    """
    roles, doubts = _roles(files, folders)
    inner = [Path(*path.parts[1:]) for path in files] if roles else files
    labels = [_as_text(path.parts[0]) if len(path.parts) > 1 else None for path in inner]
    classes = tuple(sorted({label for label in labels if label is not None}))
    index = {name: number for number, name in enumerate(classes)}
    splits, notes = {}, []
    for role in dict.fromkeys(roles.values()) if roles else ("train",):
        rows = [row for row, path in enumerate(files) if not roles or roles[path.parts[0]] == role]
        own = [labels[row] for row in rows]
        doubts += _dropped(own, f"{role} split: " if roles else "")
        coded = None if None in own else torch.tensor([index[label] for label in own if label is not None])
        splits[role] = Split(pixels if len(rows) == len(pixels) else pixels[rows], coded)
    if roles:
        notes.append("folders as splits: " + ", ".join(f"{_as_text(top)} as {role}" for top, role in roles.items()))
    unlabelled = splits["train"].labels is None
    splits = {role: split._replace(labels=None) if unlabelled else split for role, split in splits.items()}
    if unlabelled and not classes:
        notes.append("no labels: the images lie in no folders of classes")
    return RawData(
        splits["train"],
        splits.get("test"),
        None if unlabelled else classes,
        splits.get("validation"),
        tuple(notes),
        tuple(doubts),
    )


def _roles(files: Iterable[Path], folders: str) -> tuple[dict[str, str], list[str]]:
    """The split of each folder in the root, empty where folders are classes; and doubts about that."""
    tops = sorted({path.parts[0] if len(path.parts) > 1 else "" for path in files})
    roles = {top: SPLITS[top.lower()] for top in tops if top.lower() in SPLITS}
    several = "train" in roles.values() and len(roles) > 1
    if several and len(roles) == len(tops) == len(set(roles.values())) and folders != "classes":
        return roles, []
    if folders == "splits":
        raise DataError(
            f"data.folders: splits: the folders in data.root are {', '.join(map(repr, tops))}, and not train with test "
            "or validation alone; move the others away"
        )
    if several and folders == "auto":
        named = ", ".join(roles)
        return {}, [
            f"the folders {named} are taken as classes, because there is more beside them: move the rest away to have "
            "them as splits, or say data.folders=classes"
        ]
    return {}, []


def _dropped(labels: Sequence[str | None], where: str) -> list[str]:
    """A doubt where some images have a class and others have none, so that labels are dropped."""
    bare = labels.count(None)
    if bare in (0, len(labels)):
        return []
    return [
        f"{where}{bare:,} images lie beside the folders of the classes, so the labels of all are dropped; move them "
        "into a folder, or away"
    ]
