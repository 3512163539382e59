"""Pictures of a page, inside of it."""

from __future__ import annotations

import base64
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genkit.errors import RunError

if TYPE_CHECKING:
    import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = 24
"""The bytes up to the end of the size of a .png."""


@dataclass(frozen=True)
class Picture:
    """A picture, with what is said of it."""

    title: str
    uri: str
    """The file itself, as a data: address."""
    width: int
    height: int
    alt: str
    """What the picture shows, for those who do not see it."""
    caption: str = ""


def picture(source: Path | bytes, title: str, alt: str, caption: str = "") -> Picture:
    """A picture of a .png, or of its bytes.

    Raises:
        RunError: the file is not there, or is no .png.
    """
    name = title if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise RunError(f"{name}: cannot be read: {error.strerror}") from error
    if not data.startswith(SIGNATURE) or len(data) < HEADER:
        raise RunError(f"{name}: is no .png, or damaged; draw it again")
    width, height = struct.unpack(">II", data[16:HEADER])
    return Picture(title, f"data:image/png;base64,{base64.b64encode(data).decode()}", width, height, alt, caption)


def picture_of(pixels: np.ndarray[Any, Any], title: str, alt: str, caption: str = "") -> Picture:
    """A picture of pixels (H, W, 3), each a byte."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return picture(stream.getvalue(), title, alt, caption)
