"""The progress of a run on the terminal."""

from __future__ import annotations

import contextlib
import math
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from genkit.cli import tables
from genkit.cli.app import INTERRUPTED, say
from genkit.data.assumptions import notes
from genkit.errors import RunError
from genkit.parallel import group
from genkit.runs.display import Pace, Standing, duration, epoch_line, lines
from genkit.text import printable

if TYPE_CHECKING:
    from genkit.evaluation.figures import Evaluation
    from genkit.record.diagnosis import Note
    from genkit.record.directory import RunDirectory
    from genkit.record.run import Run
    from genkit.record.scores import EpochRecord
    from genkit.record.scores import Progress as EpochProgress

SECONDS_BETWEEN_LINES = 2.0
SECONDS_BETWEEN_NOTES = 0.5
DRAWN_PER_SECOND = 4
STYLES = {"name": "bold", "done": "green", "rest": "bright_black", "figure": "cyan", "faint": "bright_black"}
"""The styles of the cells of a display."""


def drawn(standing: Standing, console: Console) -> Group:
    """The display of a training for a terminal."""
    rows = lines(standing, console.width, ascii_only=console.options.ascii_only)
    parts = [[(cell.text, STYLES.get(cell.style, "")) for cell in row] for row in rows]
    return Group(*(Text.assemble(*row, no_wrap=True) for row in parts))


class TrainingDisplay:
    """A display of three lines that is drawn a few times per second; without a terminal a line per epoch.

    Without a terminal, of short epochs only one every few seconds has a line; the first and the last one always have.

    Args:
        console: the console to print on.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.run: Run | None = None
        self.standing = Standing("", None)
        self.pace = Pace()
        self.started = 0.0
        self.last_line = self.last_notes = -float("inf")
        self.said: set[str] = set()
        """The rules of the diagnosis that have spoken."""
        is_live = console.is_terminal and console.is_interactive and not console.quiet
        self.live = Live(console=console, refresh_per_second=DRAWN_PER_SECOND, get_renderable=self._draw)
        self.is_live = is_live
        """Whether there is a terminal to draw on."""

    def _draw(self) -> Group:
        """The display now; it is called in a thread of its own, so that the training waits for no drawing."""
        standing, run = self.standing, self.run
        if run is None or standing.state:
            return drawn(standing, self.console)
        left = self.pace.left(time.monotonic(), run.epochs)
        return drawn(replace(standing, history=tuple(run.history), left=left), self.console)

    def run_started(self, run: Run) -> None:
        """Print the data, the model and the device, and start the display."""
        self.run, self.started = run, time.monotonic()
        parameters = sum(parameter.numel() for parameter in run.model.parameters())
        data = ", ".join(f"{count:,} {name}" for name, count in run.data.counts().items())
        self._print(f"{run.config.data.name}: {data}; {parameters:,} parameters on {run.model.device}")
        self._print(f"data are taken as: {'; '.join(notes(run.data))}")
        if run.plan is not None:
            how = "compiled" if run.plan.compiled else "not compiled"
            self._print(f"steps are {how}: {run.plan.reason}")
        if run.threads is not None:
            self._print(run.threads)
        last = run.history[-1] if run.history else None
        if last is not None:
            self._print(f"going on after epoch {last.epoch} of {run.epochs}")
        self.standing = Standing(
            run.directory.path.absolute().name,
            run.epochs,
            tuple(run.history),
            0 if last is None else last.epoch,
            None if last is None else last.train,
            {} if last is None else last.weights,
            latents=math.prod(run.model.sampler.latent_shape),
        )
        if self.is_live:
            self.live.start()

    def step_ended(self, run: Run, progress: EpochProgress) -> None:
        """Take note of the place within an epoch."""
        self._advance(progress.epoch - 1 + progress.step / progress.steps)
        rate = progress.examples_per_second
        self.standing = replace(self.standing, scores=progress.scores, weights=progress.weights, rate=rate)

    def _advance(self, done: float) -> None:
        self.pace.add(time.monotonic(), done)
        self.standing = replace(self.standing, done=done)

    def epoch_ended(self, run: Run, record: EpochRecord) -> None:
        """Take note of an epoch; without a terminal print its line."""
        self._advance(record.epoch)
        rate = record.examples_per_second
        self.standing = replace(self.standing, scores=record.train, weights=record.weights, rate=rate)
        now, is_end = time.monotonic(), record.epoch == run.epochs
        if is_end or now - self.last_notes >= SECONDS_BETWEEN_NOTES:
            self.last_notes = now
            self._say(run.notes(during=True))
        if not self.is_live and (record.epoch == 1 or is_end or now - self.last_line >= SECONDS_BETWEEN_LINES):
            self.last_line = now
            self._print_epoch(run, record)
        if is_end:
            self.standing = replace(self.standing, history=tuple(run.history), state="figures and pictures")

    def _print_epoch(self, run: Run, record: EpochRecord) -> None:
        left = self.pace.left(time.monotonic(), run.epochs)
        if left is None:  # there is one report so far
            left = record.seconds * (run.epochs - record.epoch)
        standing = replace(self.standing, history=(record,), done=record.epoch - 1, left=left)
        self.console.print(epoch_line(standing, min(tables.MOST, self.console.width)), soft_wrap=True)

    def run_ended(self, run: Run) -> None:
        """Print the figures of the test split, and the last epoch where training ended early."""
        self._stop(f"in {duration(time.monotonic() - self.started)}")
        done, epochs = run.history[-1].epoch, run.epochs
        if done < epochs:
            self._print(f"training was ended after epoch {done} of {epochs}")
        if run.kept is not None:
            self._print(f"the weights are those of epoch {run.kept}, the best on the validation data")
        test = run.evaluation
        if test is not None and test.reconstruction is not None:
            figures = f"reconstruction {test.reconstruction:.2f}"
            if test.elbo is not None:
                figures = f"ELBO {test.elbo:.2f} = −({figures} + KL {test.kl:.2f})"
            self._print(f"test: {figures} nats per datum{units(test)}")
        self._say(run.notes())

    def _print(self, text: str) -> None:
        tables.paragraph(text, self.console)

    def _say(self, notes: list[Note]) -> None:
        """Print the notes of rules that have not spoken yet."""
        for note in notes:
            if note.rule not in self.said:
                tables.paragraph(tables.note_line(note), self.console, style="yellow")
        self.said |= {note.rule for note in notes}

    def run_stopped(self, run: Run) -> None:
        """End the display."""
        self._stop("stopped")

    def _stop(self, state: str) -> None:
        """Let the display stand as it is, with a state in place of the time left."""
        if self.live.is_started:
            assert self.run is not None
            self.standing = replace(self.standing, history=tuple(self.run.history), state=state)
            self.live.stop()


def units(test: Evaluation) -> str:
    """The units of the figures as text, where the data are transformed: training reports the model's units."""
    if test.own_units is not None:
        return f", in the units of {printable(test.own_units)}"
    if test.log_det is None or test.reconstruction is None:
        return ""
    model = test.reconstruction + test.log_det
    return f", in the data's own units; in the model's, as in training, the reconstruction is {model:.2f}"


@contextmanager
def following(quiet: bool = False) -> Iterator[TrainingDisplay]:
    """A display of a run inside the block; after a signal or a full disk, a message says how to go on.

    What plugins print on stdout meanwhile goes to stderr: stdout is for the run's directory.

    Args:
        quiet: whether nothing but errors is printed.
    """
    progress = TrainingDisplay(tables.console(stderr=True, quiet=quiet or not group.is_leader()))
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            if quiet:
                warnings.simplefilter("ignore")
            yield progress
    except KeyboardInterrupt:
        _say_how_to_go_on(progress.run)
        raise SystemExit(INTERRUPTED) from None
    except SystemExit as stop:
        if isinstance(stop.code, int) and stop.code > 128:
            _say_how_to_go_on(progress.run)
        raise
    except RunError as error:
        if progress.run is None:
            raise
        raise RunError(*error.args, f"to go on: genkit resume {progress.run.directory.path}") from None


def _say_how_to_go_on(run: Run | None) -> None:
    if run is None:
        say("interrupted before training started; nothing was written", error=True)
        return
    done, directory = len(run.history), run.directory.path
    kept = f"interrupted; {done} whole epochs are kept, and the steps after them"
    say(f"{kept}. To go on: genkit resume {directory}", error=True)


def print_files(directory: RunDirectory, quiet: bool = False) -> None:
    """Print a finished run's directory on stdout, and before it the paths of its pictures and weights on stderr."""
    if not group.is_leader():
        return
    if not quiet:
        say(f"pictures: {directory.pictures}", f"weights: {directory.model}", error=True)
    say(directory.path)
