"""Files of pictures: pixels, or vector graphics for print."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from genkit.errors import RunError
from genkit.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""The formats of pictures by their suffixes, with what is left out of their metadata."""


def save(figure: Figure, path: Path, cut: bool = False) -> Path:
    """Write a figure in the format of the path's suffix, one of FORMATS, whole or not at all.

    Text is drawn as it is: dollars around a part of a name make no formula of it. Two figures that are the same give
    the same file: it holds no date.

    Args:
        figure: the figure.
        path: the file.
        cut: whether empty margins are left out.

    Raises:
        RunError: the suffix is another one, or the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    if path.suffix not in FORMATS:
        raise RunError(f"{path}: the suffix says the format of a picture; choose one of {', '.join(FORMATS)}")
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    form, margins = path.suffix.removeprefix("."), "tight" if cut else None
    with atomic.replacing(path) as temporary, warnings.catch_warnings(), rc_context({"svg.hashsalt": "genkit"}):
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # it is drawn as an empty box
        figure.savefig(temporary, format=form, bbox_inches=margins, metadata=FORMATS[path.suffix])
    return path
