"""The files of an image folder: which of them are data, and what their folders say: classes, or splits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
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
        parts = [f"{len(names):,} {kind} ({first_of(names)})" for kind, names in kinds if names]
        return (f"left out: {', '.join(parts)}",) if parts else ()


def listing(root: Path, own: str, option: str) -> Listing:
    """The images in a folder and below it.

    Args:
        root: the folder.
        own: the pattern of names that belong to genkit, and are not mentioned.
        option: the option that names the folder, for messages.

    Raises:
        DataError: a folder cannot be read, or there is no image.
    """
    names = Listing([], [], [], [])
    for folder, folders, files in os.walk(root, onerror=partial(_refuse, option)):
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
        raise DataError(f"{option}: {root} holds no images ({', '.join(SUFFIXES)}){left}")
    names.files.sort()
    return names


def _refuse(option: str, error: OSError) -> NoReturn:
    raise DataError(f"{option}: {error.filename}: cannot be read: {error.strerror}")


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in LEFTOVERS


def first_of(names: Iterable[str]) -> str:
    """Some names as they are shown: each once, sorted, the first of them."""
    distinct = sorted(set(names))
    more = ", ..." if len(distinct) > NAMED else ""
    return ", ".join(as_text(name) for name in distinct[:NAMED]) + more


def as_text(name: str) -> str:
    """A file's name as text that can be printed and written, even where it is no UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class Part(NamedTuple):
    """The images of one split, in order."""

    pixels: Tensor
    """(N, C, H, W)."""
    names: list[str]
    """Their paths in the root, with / between folders: what an image is called."""
    labels: list[str | None]
    """The name of the class of each; None: it has none."""

    def tiled(self, patch: tuple[int, int]) -> Part:
        """Each image cut into patches (h, w), row by row, called by their place: `cat/1.png[16:32,0:16]`."""
        (height, width), size = patch, self.pixels.shape[-2:]
        tiles = self.pixels.unfold(2, height, height).unfold(3, width, width)  # (N, C, rows, columns, h, w)
        places = [
            f"[{top}:{top + height},{left}:{left + width}]"
            for top in range(0, size[0], height)
            for left in range(0, size[1], width)
        ]
        return Part(
            tiles.permute(0, 2, 3, 1, 4, 5).reshape(-1, self.pixels.shape[1], height, width),
            [name + place for name in self.names for place in places],
            [label for label in self.labels for _ in places],
        )


def divided(
    pixels: Tensor, files: Sequence[Path], folders: str, split: str = "train"
) -> tuple[dict[str, Part], tuple[str, ...], tuple[str, ...]]:
    """The images of a root by split, with their folders as classes; notes and doubts about that.

    Args:
        pixels: the images (N, C, H, W).
        files: their paths in the root, one per image.
        folders: what the folders in the root stand for: `classes`, `splits`, or `auto`, splits where all of them have
            the names of such.
        split: the split of a root that has no splits; the folders of another than `train` are classes.

    Raises:
        DataError: the folders are to be splits, and are none.
    """
    roles, doubts = _roles(files, folders if split == "train" else "classes")
    inner = [Path(*path.parts[1:]) for path in files] if roles else files
    labels = [as_text(path.parts[0]) if len(path.parts) > 1 else None for path in inner]
    names = [as_text(path.as_posix()) for path in files]
    parts = {}
    for role in dict.fromkeys(roles.values()) if roles else (split,):
        rows = [row for row, path in enumerate(files) if not roles or roles[path.parts[0]] == role]
        own = pixels if len(rows) == len(pixels) else pixels[rows]
        parts[role] = Part(own, [names[row] for row in rows], [labels[row] for row in rows])
    tops = ", ".join(f"{as_text(top)} as {role}" for top, role in roles.items())
    return parts, (f"folders as splits: {tops}",) if roles else (), tuple(doubts)


def joined(parts: Mapping[str, Part]) -> RawData:
    """The splits with their labels as indices into the names of the classes, which all of them share.

    Raises:
        DataError: another split has classes that the training split lacks, and the other way round.
    """
    classes = tuple(sorted({label for part in parts.values() for label in part.labels if label is not None}))
    index = {name: number for number, name in enumerate(classes)}
    doubts = _strange_classes(parts)
    splits = {}
    for role, part in parts.items():
        doubts += _dropped(part.labels, f"{role} split: " if len(parts) > 1 else "")
        coded = None if None in part.labels else torch.tensor([index[each] for each in part.labels if each is not None])
        splits[role] = Split(part.pixels, coded)
    unlabelled = splits["train"].labels is None
    splits = {role: split._replace(labels=None) if unlabelled else split for role, split in splits.items()}
    notes = ("no labels: the images lie in no folders of classes",) if unlabelled and not classes else ()
    ids = {role: tuple(part.names) for role, part in parts.items()}
    return RawData(
        splits["train"],
        splits.get("test"),
        None if unlabelled else classes,
        splits.get("validation"),
        notes,
        tuple(doubts),
        ids=ids,
    )


def _strange_classes(parts: Mapping[str, Part]) -> list[str]:
    """Doubts about classes that no training image has; raises DataError where names differ on both sides."""
    own = {role: {label for label in part.labels if label is not None} for role, part in parts.items()}
    doubts = []
    for role, names in own.items():
        more, fewer = sorted(names - own["train"]), sorted(own["train"] - names)
        if not more or not own["train"]:
            continue
        if fewer:
            raise DataError(
                f"the classes of the {role} split differ from those of the training split: it has {first_of(more)}, "
                f"and the training split has {first_of(fewer)}; call a class the same in both"
            )
        doubts.append(f"{role} split: no training image is of the classes {first_of(more)}")
    return doubts


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
