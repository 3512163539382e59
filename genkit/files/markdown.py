"""Markdown: tables, and text from elsewhere that is to be read as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from genkit.text import printable

ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "$": "&#36;", "@": "&#64;"}
"""Characters that a backslash does not disarm for every reader: of HTML, tables, formulas and addresses."""
SPECIAL = re.compile(r"[&<>|$@]|[\\`*_{}\[\]()#!~^:]|(?<=\w)\.(?=[^\W\d])")
PLAIN = re.compile(r"[^`|\\\s]+(?: [^`|\\\s]+)*")
"""Text that is itself between two backquotes, in a table too."""


def escaped(text: object) -> str:
    """Any text on one line, as Markdown that shows it literally: no tag, link, picture, formula or emphasis."""
    return SPECIAL.sub(lambda match: ENTITIES.get(match[0], f"\\{match[0]}"), printable(text))


def code(text: object) -> str:
    """Any text on one line, as code where that can show it literally, else as `escaped` text."""
    shown = printable(text)
    return f"`{shown}`" if PLAIN.fullmatch(shown) else escaped(shown)


def fenced(text: str, language: str) -> str:
    """Lines of code as a block that nothing in them ends."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text) or [""]))
    lines = "\n".join(map(printable, text.rstrip("\n").split("\n")))
    return f"{fence}{language}\n{lines}\n{fence}"


def table(texts: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """A table of cells in Markdown. Text from elsewhere has to be `escaped` or `code`; a cell has no tags and one line.

    Args:
        texts: the heads of the first columns, aligned to the left.
        rows: the rows, each with one cell per column.
        numbers: the heads of the other columns, aligned to the right.
    """
    rule = "---|" * len(texts) + "---:|" * len(numbers)
    return "\n".join([_line([*texts, *numbers]), f"|{rule}", *map(_line, rows)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    one_line = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"(`[^`]*`)|<", lambda match: match[1] or "&lt;", one_line)
