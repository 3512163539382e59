"""Tables and JSON on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


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
        empty.add_column(head, overflow="fold")
    for head in numbers:
        empty.add_column(head, justify="right", no_wrap=True)
    return empty
