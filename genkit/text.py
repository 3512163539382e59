"""Text from elsewhere as it is shown: names of classes and files, messages of libraries, fields of model files."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: line ends, and the escapes that terminals obey
    "\u2028\u2029"  # line ends of Unicode
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the direction of writing, which can show text in another order
    "\u00ad\u200b\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # characters without any shape
    "\ud800-\udfff]"  # bytes of a name that is no UTF-8: no file and no terminal takes them
)


def printable(text: object, most: int | None = None) -> str:
    r"""Text on one line that is shown as it is everywhere: characters that act or hide become escapes such as `\x1b`.

    Args:
        text: the text, or a value with a text.
        most: the largest number of characters; a longer text has `…` in place of its middle. None: any number.
    """
    shown = HIDDEN.sub(_escape, str(text))
    return shown if most is None or len(shown) <= most else f"{shown[: most - most // 2 - 1]}…{shown[-(most // 2) :]}"


def encodable(text: str) -> str:
    r"""The text with its bytes that are no UTF-8, as in names of files, as escapes such as `\udce9`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


BARS = "▁▂▃▄▅▆▇█"
"""The characters of a sparkline, from the least value to the greatest."""
CUT = 0.9
"""The share of the values below the top of a sparkline: the first few of a training are far above all others."""


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as a line of bars of at most `width` characters: the mean of as many values each, where there are more.

    Values that are not finite are left out, and those above the 90th percentile are as high as it.
    """
    finite = [value for value in values if math.isfinite(value)]
    count = min(width, len(finite))
    if count < 1:
        return ""
    edges = [len(finite) * place // count for place in range(count + 1)]
    means = [math.fsum(finite[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]
    low, high = min(means), sorted(means)[max(0, math.ceil(CUT * count) - 1)]
    return "".join(BARS[_step(value, low, high)] for value in means)


def _step(value: float, low: float, high: float) -> int:
    """The place of a value among the bars."""
    if value >= high:
        return len(BARS) - 1 if value > low else 0
    return int((value - low) / (high - low) * len(BARS))
