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

from rich.console import Console

from genkit.cli import tables
from genkit.cli.app import INTERRUPTED, say
from genkit.cli.screen import Screen
from genkit.data.assumptions import notes
from genkit.errors import RunError
from genkit.parallel import group
from genkit.runs.display import Pace, Standing, duration
from genkit.text import printable

if TYPE_CHECKING:
    from genkit.evaluation.figures import Evaluation
    from genkit.record.directory import RunDirectory
    from genkit.record.run import Run
    from genkit.record.scores import EpochRecord
    from genkit.record.scores import Progress as EpochProgress

SECONDS_BETWEEN_NOTES = 0.5


class TrainingDisplay:
    """A listener that shows a run: a display of three lines, or a line per epoch where there is no terminal.

    Args:
        console: the console to print on.
    """

    def __init__(self, console: Console) -> None:
        self.run: Run | None = None
        self.standing = Standing("", None)
        self.pace = Pace()
        self.started = self.trained = 0.0
        self.last_notes = -float("inf")
        self.is_stopped = False
        self.screen = Screen(console, self._now)

    def _now(self) -> Standing:
        """Where the training stands now, with the time left."""
        standing, run = self.standing, self.run
        if run is None or self.is_stopped:
            return standing
        if standing.state:
            return replace(standing, state=f"{standing.state} {duration(time.monotonic() - self.trained)}")
        left = self.pace.left(time.monotonic(), run.epochs)
        return replace(standing, history=tuple(run.history), left=left)

    def run_started(self, run: Run) -> None:
        """Print the data, the model and the device, and start the display."""
        self.run, self.started = run, time.monotonic()
        parameters = sum(parameter.numel() for parameter in run.model.parameters())
        data = ", ".join(f"{count:,} {name}" for name, count in run.data.counts().items())
        self.screen.say(f"{run.config.data.name}: {data}; {parameters:,} parameters on {run.model.device}")
        self.screen.say(f"data are taken as: {'; '.join(notes(run.data))}")
        if run.plan is not None:
            how = "compiled" if run.plan.compiled else "not compiled"
            self.screen.say(f"steps are {how}: {run.plan.reason}")
        if run.threads is not None:
            self.screen.say(run.threads)
        last = run.history[-1] if run.history else None
        if last is not None:
            self.screen.say(f"going on after epoch {last.epoch} of {run.epochs}")
        self.standing = Standing(
            run.directory.path.absolute().name,
            run.epochs,
            tuple(run.history),
            0 if last is None else last.epoch,
            None if last is None else last.train,
            {} if last is None else last.weights,
            latents=math.prod(run.model.sampler.latent_shape),
        )
        self.screen.start()

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
            self.screen.say_notes(run.notes(during=True))
        self._print_line(run, record, always=is_end or record.epoch == 1)
        if is_end:
            self.trained = now
            self.standing = replace(self.standing, history=tuple(run.history), state="figures and pictures")

    def _print_line(self, run: Run, record: EpochRecord, always: bool) -> None:
        left = self.pace.left(time.monotonic(), run.epochs)
        if left is None:  # there is one report so far
            left = record.seconds * (run.epochs - record.epoch)
        self.screen.line(replace(self.standing, history=(record,), done=record.epoch - 1, left=left), always)

    def run_ended(self, run: Run) -> None:
        """Print the figures of the test split, and the last epoch where training ended early."""
        self._stop(f"in {duration(time.monotonic() - self.started)}")
        done, epochs = run.history[-1].epoch, run.epochs
        if done < epochs:
            self.screen.say(f"training was ended after epoch {done} of {epochs}")
        if run.kept is not None:
            self.screen.say(f"the weights are those of epoch {run.kept}, the best on the validation data")
        test = run.evaluation
        if test is not None and test.reconstruction is not None:
            figures = f"reconstruction {test.reconstruction:.2f}"
            if test.elbo is not None:
                figures = f"ELBO {test.elbo:.2f} = −({figures} + KL {test.kl:.2f})"
            self.screen.say(f"test: {figures} nats per datum{units(test)}")
        self.screen.say_notes(run.notes())

    def run_stopped(self, run: Run) -> None:
        """End the display."""
        self._stop("stopped")

    def _stop(self, state: str) -> None:
        """Let the display stand as it is, with a state in place of the time left."""
        if self.run is not None and not self.is_stopped:
            self.standing = replace(self.standing, history=tuple(self.run.history), state=state)
            self.is_stopped = True
            self.screen.stop()


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
    say(kept, f"To go on: genkit resume {directory}", error=True)


def print_files(directory: RunDirectory, quiet: bool = False) -> None:
    """Print a finished run's directory on stdout, and before it its pictures, weights and pages on stderr."""
    if not group.is_leader():
        return
    if not quiet:
        pages = [f"page: {page}" for page in sorted(directory.path.glob("*.html"))]
        say(f"pictures: {directory.pictures}", f"weights: {directory.model}", *pages, error=True)
    say(directory.path)
