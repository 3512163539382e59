"""A glance at a folder of images: the size and the colour that a first config takes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genkit_data.folders import SUFFIXES

SOME = 50
"""The number of images that are looked at."""
LARGEST = 64
"""The height and the width in pixels of images that are larger, or of different sizes."""
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")
"""Pillow's modes of images without colours."""


def image_options(folder: Path) -> dict[str, Any] | None:
    """The size and the colour of the images in a folder and below it; None: there are none."""
    if not folder.is_dir():
        return None
    files = (file for file in folder.rglob("[!.]*") if file.suffix.lower() in SUFFIXES and file.is_file())
    some = list(itertools.islice(files, SOME))
    return {"size": _size(some), "colour": any(_look(file)[1] not in GREY for file in some)} if some else None


def _size(files: Sequence[Path]) -> list[int]:
    sizes = {_look(file)[0] for file in files} - {(0, 0)}
    height, width = sizes.pop() if len(sizes) == 1 else (LARGEST, LARGEST)
    return [height, width] if max(height, width) <= LARGEST else [LARGEST, LARGEST]


def _look(file: Path) -> tuple[tuple[int, int], str]:
    """The height and the width of an image, and its mode; (0, 0) of one that cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            return (image.height, image.width), image.mode
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return (0, 0), GREY[0]
