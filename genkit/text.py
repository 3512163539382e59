"""Text from elsewhere as it is shown: names of classes and files, messages of libraries, fields of model files."""

from __future__ import annotations

import re

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
