"""One image file as pixels of one size: its depth, its transparency, and what is wrong with it.

C channels, H height, W width.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genkit.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
BYTE = 255.0
BYTES = "8-bit images"
MODES = {"1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LA", "PA", "La", "RGBa"}
"""The modes of pillow that hold 8 bits per value or fewer."""
TRANSPARENT = {"RGBA", "LA", "PA", "La", "RGBa"}
BITS_PER_SAMPLE = 258
"""The tag of a TIFF file for the bits that a value has, of the 16 that hold it."""
ORIENTATION, LYING = 274, 4
"""The tag of EXIF for how an image is turned, and the greatest value for which its rows are rows."""
LARGE = 2**24
"""The pixels of an image above which only one is decoded at a time."""

_turn = threading.Lock()


class Picture(NamedTuple):
    """A decoded image."""

    pixels: Array
    """(C, H, W): uint8 for 8 bits, else float32, not yet divided by `white`."""
    white: float
    """The value that stands for 1."""
    facts: tuple[str, ...]
    """What is assumed about the image; the first says its kind."""
    extent: tuple[float, float]
    """The least and the greatest value in the file, before its size is changed; 0 and 0 for 8 bits."""


class UnreadableError(Exception):
    """An image that is no data; the text is the reason, or empty where the file is damaged."""


def read(
    path: Path | IO[bytes], size: tuple[int, int], colour: bool, background: tuple[int, int, int], ranged: bool
) -> Picture:
    """An image, brought to the size.

    Args:
        path: the file, or its bytes.
        size: height and width; the shorter side is scaled, the middle cut out.
        colour: whether there are three channels, not one.
        background: the colour, in bytes, behind transparent pixels.
        ranged: whether the config states the values of black and white.

    Raises:
        UnreadableError: the file is damaged, too large for pillow's limit, or of a mode that has no stated scale.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.width * image.height <= LARGE:
                return _decoded(image, size, colour, background, ranged)
            with _turn:
                return _decoded(image, size, colour, background, ranged)
    except UnreadableError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableError(f"more than pillow's limit of {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except MemoryError:
        raise UnreadableError("too large for the memory") from None
    except Exception:  # pillow's decoders raise nearly anything for damaged files
        raise UnreadableError from None


def upright_size(path: Path | IO[bytes]) -> tuple[int, int]:
    """The height and the width of an image as it is looked at; raises UnreadableError where the file is damaged."""
    import PIL.Image

    try:
        with PIL.Image.open(path) as image:
            turned = image.getexif().get(ORIENTATION, 1) > LYING
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception:  # pillow's decoders raise nearly anything for damaged files
        raise UnreadableError from None


def stacked(pictures: Sequence[Picture], limits: tuple[float, float] | None) -> Tensor:
    """Pictures of one size as (N, C, H, W): bytes as bytes where all are, else from 0 for black to 1 for white.

    Args:
        pictures: the pictures, at least one.
        limits: the values of the files that become 0 and 1; None: by the depth of each.

    Raises:
        DataError: the limits do not rise.
    """
    low, high = limits or (0.0, 0.0)
    if limits and not low < high:
        raise DataError(f"data.range: the least value {low:g} must lie below the greatest, {high:g}")
    as_bytes = limits is None and all(each.pixels.dtype == np.uint8 for each in pictures)
    stack: Array = np.empty((len(pictures), *pictures[0].pixels.shape), np.uint8 if as_bytes else np.float32)
    for row, each in zip(stack, pictures, strict=True):
        width = high - low if limits else each.white
        row[...] = each.pixels if as_bytes else (each.pixels.astype(np.float32) - low) / width
    return torch.from_numpy(stack)


def _decoded(
    image: Image, size: tuple[int, int], colour: bool, background: tuple[int, int, int], ranged: bool
) -> Picture:
    from PIL import ImageOps

    mode, tiles, transparent = image.mode, str(getattr(image, "tile", "")), image.info.get("transparency")
    several = bool(getattr(image, "is_animated", False))
    facts = ("several frames: the first is read",) if several else ()
    if mode in MODES:
        if mode in TRANSPARENT or transparent is not None:
            facts = ("transparent pixels: over data.background", *facts)
        what = "16-bit colour images: the upper 8 bits of each value" if ";16" in tiles else BYTES
        flat = _opaque(ImageOps.exif_transpose(image), background).convert("RGB" if colour else "L")
        pixels = np.asarray(_fitted(flat, size), np.uint8)
        return Picture(np.moveaxis(pixels, -1, 0) if colour else pixels[np.newaxis], BYTE, (what, *facts), (0, 0))
    white, what = _scale(image, ranged)
    values = np.asarray(ImageOps.exif_transpose(image)).astype(np.float32)
    if not np.isfinite(values).all():
        raise UnreadableError("holds values that are not finite")
    if isinstance(transparent, int):
        values[values == transparent] = _luma(background) / BYTE * white
    extent = float(values.min()), float(values.max())
    pixels = _resized(values, size)[np.newaxis]
    return Picture(np.repeat(pixels, 3, 0) if colour else pixels, white, (what, *facts), extent)


def _scale(image: Image, ranged: bool) -> tuple[float, str]:
    """The value that stands for 1 in an image of more than 8 bits, and what the image is."""
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0]
    if image.mode == "F":
        return 1.0, "float images: values as they are"
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        white = 2.0**bits - 1
        return white, f"{bits}-bit grey images: values / {white:.0f}"
    if image.mode == "I" and ranged:
        return 1.0, "whole numbers of up to 32 bits"
    if image.mode == "I":
        raise UnreadableError("mode I: whole numbers of up to 32 bits: data.range=[LOW,HIGH] has to state their scale")
    raise UnreadableError(f"mode {image.mode}: not a mode that images are read in; save it as RGB or grey")


def _opaque(image: Image, background: tuple[int, int, int]) -> Image:
    """The image over the background, where it has transparent pixels or may have."""
    import PIL.Image

    if image.mode not in TRANSPARENT and "transparency" not in image.info:
        return image
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, (*background, 255)), image.convert("RGBA"))


def _luma(colour: tuple[int, int, int]) -> float:
    """The grey of a colour by ITU-R 601, as pillow computes it."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _fitted(image: Image, size: tuple[int, int]) -> Image:
    import PIL.Image
    import PIL.ImageOps

    return PIL.ImageOps.fit(image, (size[1], size[0]), PIL.Image.Resampling.BILINEAR)


def _resized(values: Array, size: tuple[int, int]) -> Array:
    """Values (H, W) in float32, brought to the size."""
    import PIL.Image

    resized: Array = np.asarray(_fitted(PIL.Image.fromarray(values), size), np.float32)
    return resized
