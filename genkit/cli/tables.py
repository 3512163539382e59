"""Tables and JSON on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def print_json(value: Any) -> None:
    """Plain values as JSON."""
    import json

    print(json.dumps(value, indent=2))


def table(texts: Sequence[str], numbers: Sequence[str] = (), title: str | None = None) -> Table:
    """A table without rows.

    Args:
        texts: the heads of the first columns, whose cells take several lines where they have to.
        numbers: the heads of those that follow; their cells stand to the right and stay whole.
        title: what stands above it.
    """
    from rich.table import Table

    empty = Table(box=None, pad_edge=False, title=title)
    for head in texts:
        empty.add_column(head, overflow="fold")
    for head in numbers:
        empty.add_column(head, justify="right", no_wrap=True)
    return empty
