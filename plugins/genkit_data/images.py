"""Folders of images, with sub-folders as labels."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genkit.errors import DataError, GenkitWarning, RunError
from genkit.files import atomic
from genkit.interfaces import DataSource, RawData
from genkit.interfaces.data import FILE, RELATIVE
from genkit_data import folders, pixels
from genkit_data.pixels import Picture, UnreadableError

CACHE = ".genkit-images-{}.safetensors"
COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0)}
LEAST_BITS = 12
"""The fewest bits per value for which the largest value of 16-bit images is no surprise."""

Byte = Annotated[int, Field(ge=0, le=255)]


class Decoded(NamedTuple):
    """The images of a folder, decoded."""

    pixels: Tensor
    """(N, C, H, W): uint8 where all images have 8 bits and no range is stated, else float32."""
    broken: dict[str, str]
    """The files that are no data, each with the reason, which is empty where it is damaged."""
    notes: tuple[str, ...]
    doubts: tuple[str, ...]


class Images(DataSource):
    """Images of one size: (N, 1, height, width) in grey or (N, 3, height, width) in colour.

    Each sub-folder is a class with its name; if images lie directly in the folder, there are no labels. Folders train/
    and test/ (and val/) alone are splits, with the classes in them. Names that start with a dot, and what systems leave
    behind, are no data. Images are decoded in parallel, brought to the size (the shorter side scaled, the middle cut
    out), and kept in one file in the folder, which is used again as long as the images and the options stay the same.

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
            tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]],
            Field(description="the size that images are brought to: [height, width] in pixels"),
        ]
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

    config: Config

    def load(self) -> RawData:
        """Read the folder; raises DataError naming what is missing or broken."""
        root = Path(self.config.root).expanduser()
        if not root.is_dir():
            raise DataError(f"data.root: {root} is no folder")
        names = folders.listing(root, CACHE.format("*"))
        decoded = self._decoded(root, names.files)
        good = [path for path in (each.relative_to(root) for each in names.files) if str(path) not in decoded.broken]
        raw = folders.arranged(decoded.pixels, good, self.config.folders)
        return raw._replace(notes=(*decoded.notes, *raw.notes, *names.notes()), doubts=(*decoded.doubts, *raw.doubts))

    def _decoded(self, root: Path, files: list[Path]) -> Decoded:
        """The images that can be read, from the cache if it holds these images."""
        signature = self._signature(root, files)
        cache = root / CACHE.format(signature[:16])
        decoded = _cached(cache, signature) if self.config.cache else None
        if decoded is None:
            decoded = self._decode(root, files)
            if self.config.cache:
                _keep(cache, decoded, signature)
        if decoded.broken:
            self._say(root, decoded.broken, len(files))
        return decoded

    def _say(self, root: Path, broken: dict[str, str], count: int) -> None:
        """Refuse broken images, or warn of them, as the config asks."""
        names = [f"{name} ({reason})" if reason else name for name, reason in broken.items()]
        named = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        if self.config.broken == "refuse" or len(broken) == count:
            raise DataError(
                f"data.root: {root}: {len(broken)} of {count} images cannot be read: {named}; remove them, or "
                "leave them out with data.broken=skip"
            )
        warnings.warn(f"{root}: left out {len(broken)} images that cannot be read: {named}", GenkitWarning, 2)

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
        return Decoded(self._scaled(good), broken, notes, self._doubts(good))

    def _read(self, path: Path) -> Picture | str:
        """The image, or the reason why it is none."""
        config = self.config
        background = COLOURS[config.background] if isinstance(config.background, str) else config.background
        try:
            return pixels.read(path, config.size, config.colour, background, config.range is not None)
        except UnreadableError as error:
            return str(error)

    def _scaled(self, pictures: Sequence[Picture]) -> Tensor:
        """The pixels (N, C, H, W) of pictures: bytes as bytes where all are, else from 0 for black to 1 for white."""
        low, high = self.config.range or (0.0, 0.0)
        if self.config.range and not low < high:
            raise DataError(f"data.range: the least value {low:g} must lie below the greatest, {high:g}")
        as_bytes = self.config.range is None and all(each.pixels.dtype == np.uint8 for each in pictures)
        shape = (len(pictures), 3 if self.config.colour else 1, *self.config.size)
        stack: np.ndarray[Any, Any] = np.empty(shape, np.uint8 if as_bytes else np.float32)
        for row, each in zip(stack, pictures, strict=True):
            width = high - low if self.config.range else each.white
            row[...] = each.pixels if as_bytes else (each.pixels.astype(np.float32) - low) / width
        return torch.from_numpy(stack)

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


def _cached(path: Path, signature: str) -> Decoded | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("signature") != signature:
                return None
            facts = json.loads(metadata["facts"])
            return Decoded(file.get_tensor("pixels"), facts["broken"], tuple(facts["notes"]), tuple(facts["doubts"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        return None


def _keep(path: Path, decoded: Decoded, signature: str) -> None:
    """Replace earlier caches; a folder that cannot be written has no cache, and is read anew each time."""
    facts = json.dumps({"broken": decoded.broken, "notes": decoded.notes, "doubts": decoded.doubts})
    with contextlib.suppress(RunError, OSError):
        for old in path.parent.glob(CACHE.format("*")):
            old.unlink(missing_ok=True)
        with atomic.replacing(path) as temporary:
            save_file({"pixels": decoded.pixels}, temporary, metadata={"signature": signature, "facts": facts})
