"""Files of pictures: pixels, or vector graphics for print."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from genkit.errors import RunError
from genkit.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
"""The suffixes of pictures."""


def save(figure: Figure, path: Path, cut: bool = False) -> Path:
    """Write a figure as a .png, .svg or .pdf, whole or not at all; with `cut`, without empty margins.

    Text is drawn as it is: dollars around a part of a name make no formula of it.

    Raises:
        RunError: the suffix is another one, or the file cannot be written.
    """
    from matplotlib.text import Text

    if path.suffix not in FORMATS:
        raise RunError(f"{path}: the suffix says the format of a picture; choose one of {', '.join(FORMATS)}")
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with atomic.replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # it is drawn as an empty box
        margins = "tight" if cut else None
        figure.savefig(temporary, format=path.suffix[1:], bbox_inches=margins, metadata=dates)
    return path
