"""The display of a training in Python: it is drawn again and again in a notebook; else there is a line per epoch."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TextIO

from genkit.evaluation.figure_tables import shown
from genkit.parallel import group
from genkit.record.run import Run
from genkit.record.scores import EpochRecord, Progress
from genkit.runs.display import Cell, Pace, Standing, epoch_line, lines, text_of

BETWEEN = 0.25
"""The least seconds from one drawing to the next."""
BETWEEN_LINES = 2.0
STYLES = {"name": "font-weight: bold", "faint": "opacity: 0.8", "rest": "opacity: 0.4"}
"""The styles of the cells of a display, which take the colours of the page."""


def with_display(listeners: Iterable[object], progress: bool | None) -> list[object]:
    """The listeners of a run, and a display where one is wanted.

    Args:
        listeners: the caller's.
        progress: whether there is a display; None: in a notebook, and where stderr is a terminal.
    """
    notebook, each = _notebook(), list(listeners)
    wanted = progress if progress is not None else notebook is not None or sys.stderr.isatty()
    if not wanted or not group.is_leader():
        return each
    return [*each, NotebookDisplay(notebook) if notebook is not None else LineDisplay(sys.stderr)]


def _notebook() -> Any | None:
    """IPython's function `display` in a notebook; None: this is none."""
    if "IPython" not in sys.modules:
        return None
    import IPython

    shell = IPython.get_ipython()  # type: ignore[no-untyped-call,attr-defined,unused-ignore]
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    return display


class _Tracking:
    """Follows where a run stands."""

    def __init__(self) -> None:
        self.standing, self.pace = Standing("", None), Pace()

    def run_started(self, run: Run) -> None:
        """Take note of the run."""
        latents = math.prod(run.model.sampler.latent_shape)
        self.standing = Standing(run.directory.path.name, run.epochs, done=len(run.history), latents=latents)

    def step_ended(self, run: Run, progress: Progress) -> None:
        """Take note of the place within an epoch."""
        done = progress.epoch - 1 + progress.step / progress.steps
        self._advance(run, done, progress.examples_per_second, scores=progress.scores, weights=progress.weights)

    def epoch_ended(self, run: Run, record: EpochRecord) -> None:
        """Take note of an epoch."""
        self._advance(run, record.epoch, record.examples_per_second, scores=record.train, weights=record.weights)

    def _advance(self, run: Run, done: float, rate: float, **newest: Any) -> None:
        now = time.monotonic()
        self.pace.add(now, done)
        left, history = self.pace.left(now, run.epochs), tuple(run.history)
        self.standing = replace(self.standing, done=done, rate=rate, left=left, history=history, **newest)


class NotebookDisplay(_Tracking):
    """A listener that shows a run in the output of a notebook's cell, always in the same place.

    Args:
        display: IPython's function of that name.
    """

    def __init__(self, display: Any) -> None:
        super().__init__()
        self.display, self.handle = display, None
        self.drawn = 0.0

    def run_started(self, run: Run) -> None:
        """Draw for the first time."""
        super().run_started(run)
        self.drawn = time.monotonic()
        self.handle = self.display(self._bundle(run), raw=True, display_id=True)

    def step_ended(self, run: Run, progress: Progress) -> None:
        """Draw the place within an epoch."""
        super().step_ended(run, progress)
        self._draw(run)

    def epoch_ended(self, run: Run, record: EpochRecord) -> None:
        """Draw an epoch, with what the rules of the diagnosis say."""
        super().epoch_ended(run, record)
        at_end = record.epoch == run.epochs
        self.standing = replace(self.standing, state="figures and pictures" if at_end else "")
        self._draw(run, always=at_end)

    def run_stopped(self, run: Run) -> None:
        """Draw for the last time, how the run ended."""
        done = run.directory.stages.is_finished
        state = f"{'finished' if done else 'stopped'}: {run.directory.path}"
        self.standing = replace(self.standing, history=tuple(run.history), state="finished" if done else "stopped")
        self._draw(run, always=True, below=state)

    def _draw(self, run: Run, always: bool = False, below: str = "") -> None:
        now = time.monotonic()
        if self.handle is not None and (always or now - self.drawn >= BETWEEN):
            self.drawn = now
            self.handle.update(self._bundle(run, below), raw=True)

    def _bundle(self, run: Run, below: str = "") -> dict[str, str]:
        """The display as HTML, and as text for what shows no HTML."""
        rows = lines(self.standing)
        notes = [f"note: {note.text}" for note in run.notes(during=True)]
        drawn = "\n".join("".join(map(_span, row)) for row in rows)
        paragraphs = "".join(f"<p>{shown(line)}</p>" for line in (*notes, below) if line)
        text = "\n".join([*map(text_of, rows), *notes, below]).rstrip()
        return {"text/html": f'<pre style="line-height: 1.4">{drawn}</pre>{paragraphs}', "text/plain": text}


def _span(cell: Cell) -> str:
    style = STYLES.get(cell.style)
    return shown(cell.text) if style is None else f'<span style="{style}">{shown(cell.text)}</span>'


class LineDisplay(_Tracking):
    """A listener that prints a line per epoch, of short epochs one every few seconds, and where the run is at its end.

    Args:
        stream: where to print.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream, self.printed = stream, -math.inf

    def epoch_ended(self, run: Run, record: EpochRecord) -> None:
        """Print an epoch."""
        super().epoch_ended(run, record)
        now = time.monotonic()
        if record.epoch == run.epochs or now - self.printed >= BETWEEN_LINES:
            self.printed = now
            standing = replace(self.standing, history=(record,), done=record.epoch - 1)
            print(epoch_line(standing), file=self.stream, flush=True)

    def run_ended(self, run: Run) -> None:
        """Print what the run gave."""
        print(run, file=self.stream, flush=True)
