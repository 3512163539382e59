"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(texts: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """A table. Cells may hold any text; code in backquotes is not changed.

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
