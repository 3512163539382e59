"""Folders of images, with sub-folders as labels."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from genkit.data.units import as_float
from genkit.errors import DataError, GenkitWarning
from genkit.interfaces import DataSource, RawData
from genkit.interfaces.data import FILE, NAMES, RELATIVE
from genkit_data import folders, glances, pixels
from genkit_data.decoded import CACHE, Decoded, cached, keep
from genkit_data.folders import Part
from genkit_data.labelling import labelled
from genkit_data.pixels import Picture, UnreadableError

COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0)}
LEAST_BITS = 12
"""The fewest bits per value for which the largest value of 16-bit images is no surprise."""

Byte = Annotated[int, Field(ge=0, le=255)]
Pixels = Annotated[int, Field(ge=1)]


class Images(DataSource):
    """Images of one size: (N, 1, height, width) in grey or (N, 3, height, width) in colour.

    Each sub-folder is a class with its name, unless `labels` names a table that gives each file its class; if images
    lie directly in the folder, there are no labels. Folders train/ and test/ (and val/) alone are splits, with the
    classes in them; splits may have roots of their own, too. The id of an image is its path in the root. Names that
    start with a dot, and what systems leave behind, are no data. Images are decoded in parallel, brought to the size
    (the shorter side scaled, the middle cut out), and kept in one file in the folder, which is used again as long as
    the images and the options stay the same.

    Images of 8 bits are bytes; 16 bits are read as v / 65535, 12 bits in a TIFF as v / 4095, floats as they are, unless
    `range` states which values are black and white. Transparent pixels show the background.

    Args:
        config: the folder, the size, colour or grey, and what to do with broken images.
    """

    class Config(DataSource.Config):
        """Options of an image folder."""

        name: Literal["images"] = "images"
        root: Annotated[str, FILE, Field(description=f"the folder of the images, {RELATIVE}")]
        size: Annotated[
            tuple[Pixels, Pixels],
            Field(description="the size that images are brought to: [height, width] in pixels"),
        ]
        test_root: Annotated[
            str | None, FILE, Field(description="the folder of the test images; null: they are in `root`")
        ] = None
        validation_root: Annotated[
            str | None, FILE, Field(description="the folder of the validation images; null: they are in `root`")
        ] = None
        labels: Annotated[
            str | None,
            FILE,
            Field(description="a table (CSV, TSV, Parquet) with the class of each image; null: by the sub-folders"),
        ] = None
        label_columns: Annotated[
            tuple[str, str],
            NAMES,
            Field(description="the columns of that table: of the images' paths in their root, and of their labels"),
        ] = ("file", "label")
        patch: Annotated[
            tuple[Pixels, Pixels] | None,
            Field(
                description="cuts each image, of the size, into patches of [height, width], each of which is a datum; "
                "null: none"
            ),
        ] = None
        colour: Annotated[bool, Field(description="whether images have three channels; false: one, grey")] = False
        background: Annotated[
            Literal["white", "black"] | tuple[Byte, Byte, Byte],
            Field(description="the colour behind transparent pixels: white, black, or [red, green, blue] in bytes"),
        ] = "white"
        range: Annotated[
            tuple[float, float] | None,
            Field(
                description="the values of the files that become 0 and 1, such as [0, 4095] for 12 bits held in 16; "
                "null: by the images' depth, and floats stay as they are"
            ),
        ] = None
        folders: Annotated[
            Literal["auto", "classes", "splits"],
            Field(
                description="what the folders in the root are: classes, or splits (train, test, val) with classes in "
                "them; auto: splits where all of them have such names"
            ),
        ] = "auto"
        broken: Annotated[
            Literal["refuse", "skip"], Field(description="what to do with images that cannot be read")
        ] = "refuse"
        cache: Annotated[
            bool, Field(description="whether the decoded images are kept in a file in the folder, for the next run")
        ] = True

        @model_validator(mode="after")
        def _patches_fill_the_size(self) -> Images.Config:
            if self.patch and (self.size[0] % self.patch[0] or self.size[1] % self.patch[1]):
                raise PydanticCustomError("patch", "size must be a multiple of patch, in height and in width")
            return self

    config: Config

    @classmethod
    def options_for(cls, path: Path) -> dict[str, Any] | None:
        """A folder of images, in their own size where it is one and small."""
        options = glances.image_options(path)
        return None if options is None else {"root": str(path), **options}

    def load(self) -> RawData:
        """Read the folders; raises DataError naming what is missing or broken."""
        parts: dict[str, Part] = {}
        notes: list[str] = []
        doubts: list[str] = []
        broken: set[str] = set()
        for role, (option, root) in self._roots().items():
            names = folders.listing(root, CACHE.format("*"), option)
            decoded = self._decoded(root, names.files, option)
            files = [
                each for each in (path.relative_to(root) for path in names.files) if str(each) not in decoded.broken
            ]
            own, divided, doubtful = folders.divided(decoded.pixels, files, self.config.folders, role)
            for twice in own.keys() & parts.keys():
                raise DataError(f"{option}: data.root has a folder of the {twice} split too; leave one of them out")
            parts |= own
            broken |= decoded.broken.keys()
            where = "" if role == "train" else f"{role} split: "
            notes += [where + each for each in (*decoded.notes, *divided, *names.notes())]
            doubts += [where + each for each in (*decoded.doubts, *doubtful)]
        raw = folders.joined(self._tiled(self._labelled(parts, broken)))
        return raw._replace(notes=(*notes, *raw.notes, *self._patches()), doubts=(*doubts, *raw.doubts))

    def _roots(self) -> dict[str, tuple[str, Path]]:
        """The option and the folder of each split that has one; raises DataError where one lies in another."""
        config = self.config
        named = {"train": config.root, "validation": config.validation_root, "test": config.test_root}
        roots: dict[str, tuple[str, Path]] = {}
        for role, name in named.items():
            if name is None:
                continue
            option, root = "data.root" if role == "train" else f"data.{role}_root", Path(name).expanduser()
            if not root.is_dir():
                raise DataError(f"{option}: {root} is no folder")
            for other, before in roots.values():
                real, earlier = root.resolve(), before.resolve()
                if real.is_relative_to(earlier) or earlier.is_relative_to(real):
                    raise DataError(
                        f"{option}: {root} and {other}, {before}, share images: each split has a folder of its own; "
                        "where they lie in one folder as train and test, data.root alone names that folder"
                    )
            roots[role] = option, root
        return roots

    def _patches(self) -> tuple[str, ...]:
        """A note on patches, where there are some."""
        if self.config.patch is None:
            return ()
        height, width = self.config.patch
        return (f"patches of {height}×{width}: those of one image are in several splits, where splits have no folders",)

    def _labelled(self, parts: dict[str, Part], broken: set[str]) -> dict[str, Part]:
        """The images with the labels of the table, where there is one."""
        if self.config.labels is None:
            return parts
        return labelled(parts, Path(self.config.labels).expanduser(), self.config.label_columns, broken)

    def _tiled(self, parts: dict[str, Part]) -> dict[str, Part]:
        """The images of one type in all splits, cut into patches where the config asks for them."""
        if len({part.pixels.dtype for part in parts.values()}) > 1:
            parts = {role: part._replace(pixels=as_float(part.pixels)) for role, part in parts.items()}
        if self.config.patch is None:
            return parts
        return {role: part.tiled(self.config.patch) for role, part in parts.items()}

    def _decoded(self, root: Path, files: list[Path], option: str) -> Decoded:
        """The images that can be read, from the cache if it holds these images."""
        signature = self._signature(root, files)
        cache = root / CACHE.format(signature[:16])
        decoded = cached(cache, signature) if self.config.cache else None
        if decoded is None:
            decoded = self._decode(root, files)
            if self.config.cache:
                keep(cache, decoded, signature)
        if decoded.broken:
            self._say(f"{option}: {root}", decoded.broken, len(files))
        return decoded

    def _say(self, where: str, broken: dict[str, str], count: int) -> None:
        """Refuse broken images, or warn of them, as the config asks."""
        names = [f"{name} ({reason})" if reason else name for name, reason in broken.items()]
        named = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        if self.config.broken == "refuse" or len(broken) == count:
            raise DataError(
                f"{where}: {len(broken)} of {count} images cannot be read: {named}; remove them, or "
                "leave them out with data.broken=skip"
            )
        warnings.warn(f"{where}: left out {len(broken)} images that cannot be read: {named}", GenkitWarning, 2)

    def _signature(self, root: Path, files: Iterable[Path]) -> str:
        """A hash of the files and the options, which changes with them."""
        states = [(str(path.relative_to(root)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        options = (self.config.size, self.config.colour, self.config.background, self.config.range)
        return hashlib.sha256(json.dumps([options, states]).encode()).hexdigest()

    def _decode(self, root: Path, files: list[Path]) -> Decoded:
        from PIL.Image import DecompressionBombWarning

        with warnings.catch_warnings(), ThreadPoolExecutor() as pool:  # pillow lets other threads run while it decodes
            warnings.simplefilter("error", DecompressionBombWarning)  # such an image counts as broken
            pictures = list(pool.map(self._read, files))
        good = [each for each in pictures if isinstance(each, Picture)]
        names = (str(path.relative_to(root)) for path in files)
        broken = {name: each for name, each in zip(names, pictures, strict=True) if isinstance(each, str)}
        facts = Counter(fact for each in good for fact in each.facts if fact != pixels.BYTES)
        notes = tuple(f"{fact} ({count:,})" for fact, count in facts.items())
        return Decoded(self._stacked(good), broken, notes, self._doubts(good))

    def _read(self, path: Path) -> Picture | str:
        """The image, or the reason why it is none."""
        config = self.config
        background = COLOURS[config.background] if isinstance(config.background, str) else config.background
        try:
            return pixels.read(path, config.size, config.colour, background, config.range is not None)
        except UnreadableError as error:
            return str(error)

    def _stacked(self, pictures: Sequence[Picture]) -> Tensor:
        """The pixels (N, C, H, W) of pictures, of which there may be none."""
        if not pictures:
            return torch.empty(0, 3 if self.config.colour else 1, *self.config.size)
        return pixels.stacked(pictures, self.config.range)

    def _doubts(self, pictures: Sequence[Picture]) -> tuple[str, ...]:
        """What may be wrong about the scale of images that have more than 8 bits."""
        deep = [each for each in pictures if each.pixels.dtype != np.uint8]
        if self.config.range is not None or not deep:
            return ()
        least, greatest = min(each.extent[0] for each in deep), max(each.extent[1] for each in deep)
        white = max(each.white for each in deep)
        if white == 1 and (least < 0 or greatest > 1):
            return (
                f"float images go from {least:g} to {greatest:g} and stay as they are; "
                f"data.range=[{least:g},{greatest:g}] brings them to 0…1",
            )
        if white == 2**16 - 1 and greatest < 2**LEAST_BITS:
            return (
                f"no 16-bit image has a value above {greatest:,.0f} of 65,535, so all are nearly black: probably fewer "
                f"bits are used; data.range=[0,{2 ** max(1, int(greatest).bit_length()) - 1}] states them",
            )
        return ()
