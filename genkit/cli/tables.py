"""Tables and JSON on the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from genkit.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from genkit.record.diagnosis import Note

MOST = 79
"""The largest number of characters in a line of talk."""


def print_json(value: Any) -> None:
    """Print plain values as JSON."""
    from genkit.files import strict_json

    print(strict_json.dumps(value, indent=2))


def table(texts: Sequence[str], numbers: Sequence[str] = (), title: str | None = None) -> Table:
    """A table without rows.

    Args:
        texts: the heads of the first columns, whose cells are folded into several lines where they are long.
        numbers: the heads of the other columns, whose cells are aligned to the right and never folded.
        title: the title above the table.
    """
    from rich.table import Table

    empty = Table(box=None, pad_edge=False, title=title)
    for head in texts:
        empty.add_column(printable(head), overflow="fold")
    for head in numbers:
        empty.add_column(printable(head), justify="right", no_wrap=True)
    return empty


def add_row(table: Table, *cells: str) -> None:
    """Add a row to a table; the cells may hold any text."""
    table.add_row(*map(printable, cells))


def console(**options: Any) -> Console:
    """A console that shows text as it is: brackets and `:cat:` in names are no markup."""
    from rich.console import Console

    return Console(**{"markup": False, "emoji": False, "highlight": False, **options})


def paragraph(text: str, console: Console, style: str = "") -> None:
    """Print text in lines of at most 79 characters, broken between words; it may hold any characters."""
    width = min(MOST, console.width)
    lines = textwrap.TextWrapper(width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    for line in lines.wrap(printable(text)):
        console.print(line, style=style, soft_wrap=True)


def note_line(note: Note) -> str:
    """The line of a note of the diagnosis."""
    return printable(f"note: {note.text}")
