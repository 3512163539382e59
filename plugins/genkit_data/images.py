"""Folders of images, with sub-folders as labels."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genkit.errors import DataError, RunError
from genkit.files import atomic
from genkit.interfaces import DataSource, RawData, Split

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
CACHE = ".genkit-images-{}.safetensors"


class Images(DataSource):
    """Images of one size: (N, 1, height, width) in grey or (N, 3, height, width) in colour, one byte per value.

    Each sub-folder is a class with its name; if images lie directly in the folder, there are no labels. Images are
    decoded in parallel, brought to the size (the shorter side scaled, the middle cut out), and kept in one file in the
    folder, which is used again as long as the images and the options stay the same.

    Args:
        config: the folder, the size, colour or grey, and what to do with broken images.
    """

    class Config(DataSource.Config):
        """Options of an image folder."""

        name: Literal["images"] = "images"
        root: Annotated[str, Field(description="the folder of the images")]
        size: Annotated[
            tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]],
            Field(description="the size that images are brought to: [height, width] in pixels"),
        ]
        colour: Annotated[bool, Field(description="whether images have three channels; false: one, grey")] = False
        broken: Annotated[
            Literal["refuse", "skip"], Field(description="what to do with images that cannot be read")
        ] = "refuse"
        cache: Annotated[
            bool, Field(description="whether the decoded images are kept in a file in the folder, for the next run")
        ] = True

    config: Config

    def load(self) -> RawData:
        """Read the folder; raises DataError naming what is missing or broken."""
        root = Path(self.config.root)
        if not root.is_dir():
            raise DataError(f"data.root: {root} is no folder")
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not files:
            raise DataError(f"data.root: {root} holds no images ({', '.join(SUFFIXES)})")
        pixels, good = self._decoded(root, files)
        folders = [path.relative_to(root).parts[0] if path.parent != root else None for path in good]
        if None in folders:
            return RawData(Split(pixels, None))
        classes = sorted({folder for folder in folders if folder is not None})
        labels = torch.tensor([classes.index(folder) for folder in folders if folder is not None])
        return RawData(Split(pixels, labels), classes=tuple(classes))

    def _decoded(self, root: Path, files: list[Path]) -> tuple[Tensor, list[Path]]:
        """The images that can be read (N, C, H, W) and their files, from the cache if it holds these images."""
        signature = self._signature(root, files)
        cache = root / CACHE.format(signature[:16])
        if self.config.cache and (kept := _cached(cache, signature)) is not None:
            pixels, broken = kept
        else:
            pixels, broken = self._decode(root, files)
            if self.config.cache:
                _keep(cache, pixels, broken, signature)
        if broken:
            named = ", ".join(broken[:5]) + (f" and {len(broken) - 5} more" if len(broken) > 5 else "")
            if self.config.broken == "refuse" or len(broken) == len(files):
                raise DataError(
                    f"data.root: {root}: {len(broken)} of {len(files)} images cannot be read: {named}; remove them, or "
                    "leave them out with data.broken=skip"
                )
            warnings.warn(f"{root}: left out {len(broken)} images that cannot be read: {named}", stacklevel=2)
        return pixels, [path for path in files if str(path.relative_to(root)) not in set(broken)]

    def _signature(self, root: Path, files: Iterable[Path]) -> str:
        """A hash of the files and the options, which changes with them."""
        states = [(str(path.relative_to(root)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        options = (self.config.size, self.config.colour)
        return hashlib.sha256(json.dumps([options, states]).encode()).hexdigest()

    def _decode(self, root: Path, files: list[Path]) -> tuple[Tensor, list[str]]:
        with ThreadPoolExecutor() as pool:  # pillow lets other threads run while it decodes
            images = list(pool.map(self._read, files))
        good = [image for image in images if image is not None]
        broken = [str(path.relative_to(root)) for path, image in zip(files, images, strict=True) if image is None]
        channels = 3 if self.config.colour else 1
        pixels = np.stack(good) if good else np.zeros((0, channels, *self.config.size), np.uint8)
        return torch.from_numpy(np.ascontiguousarray(pixels)), broken

    def _read(self, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None:
        """(C, H, W), or None where the file is no image."""
        from PIL import Image, ImageOps, UnidentifiedImageError

        height, width = self.config.size
        try:
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB" if self.config.colour else "L")
                fitted = ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR)
        except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
            return None
        pixels = np.asarray(fitted, np.uint8)
        return np.moveaxis(pixels, -1, 0) if self.config.colour else pixels[np.newaxis]


def _cached(path: Path, signature: str) -> tuple[Tensor, list[str]] | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("signature") != signature:
                return None
            return file.get_tensor("pixels"), json.loads(metadata["broken"])
    except (SafetensorError, OSError, KeyError, ValueError):
        return None


def _keep(path: Path, pixels: Tensor, broken: list[str], signature: str) -> None:
    """Replace earlier caches; a folder that cannot be written has no cache, and is read anew each time."""
    with contextlib.suppress(RunError, OSError):
        for old in path.parent.glob(CACHE.format("*")):
            old.unlink(missing_ok=True)
        with atomic.replacing(path) as temporary:
            save_file({"pixels": pixels}, temporary, metadata={"signature": signature, "broken": json.dumps(broken)})
