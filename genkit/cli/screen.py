"""A screen for the display of a training: it is drawn again and again on a terminal; else there is a line per epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from genkit.cli import tables
from genkit.runs.display import Standing, epoch_line, lines

if TYPE_CHECKING:
    from genkit.record.diagnosis import Note

SECONDS_BETWEEN_LINES = 2.0
DRAWN_PER_SECOND = 4
STYLES = {"name": "bold", "done": "green", "rest": "bright_black", "figure": "cyan", "faint": "bright_black"}
"""The styles of the cells of a display."""


class Screen:
    """The console that a display is drawn on, below all that is said.

    Args:
        console: the console.
        standing: gives where the training stands; it is called in a thread of its own, so that no training waits.
    """

    def __init__(self, console: Console, standing: Callable[[], Standing]) -> None:
        self.console = console
        self.is_live = console.is_terminal and console.is_interactive and not console.quiet
        """Whether there is a terminal to draw on."""
        self.last_line = -float("inf")
        self.said: set[str] = set()
        """The rules of the diagnosis that have spoken."""
        self.live = Live(
            console=console, refresh_per_second=DRAWN_PER_SECOND, get_renderable=lambda: self._drawn(standing())
        )

    def _drawn(self, standing: Standing) -> Group:
        rows = lines(standing, self.console.width, ascii_only=self.console.options.ascii_only)
        parts = [[(cell.text, STYLES.get(cell.style, "")) for cell in row] for row in rows]
        return Group(*(Text.assemble(*row, no_wrap=True) for row in parts))

    def start(self) -> None:
        """Begin to draw, where there is a terminal."""
        if self.is_live:
            self.live.start()

    def stop(self) -> None:
        """Draw for the last time; what was drawn stays."""
        self.live.stop()

    def say(self, text: str, style: str = "") -> None:
        """Print text above the display."""
        tables.paragraph(text, self.console, style)

    def say_notes(self, notes: list[Note]) -> None:
        """Print the notes of rules that have not spoken yet."""
        for note in notes:
            if note.rule not in self.said:
                self.say(tables.note_line(note), style="yellow")
        self.said |= {note.rule for note in notes}

    def line(self, standing: Standing, always: bool) -> None:
        """Print the line of an epoch where nothing is drawn; of short epochs, one every few seconds.

        Args:
            standing: where the training stands, with the record of the epoch as the last one of its history.
            always: whether it is printed in any case.
        """
        now = time.monotonic()
        if self.is_live or not (always or now - self.last_line >= SECONDS_BETWEEN_LINES):
            return
        self.last_line = now
        self.console.print(epoch_line(standing, min(tables.MOST, self.console.width)), soft_wrap=True)
