"""The progress of a run on the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from genkit.cli import tables
from genkit.cli.app import INTERRUPTED, say
from genkit.data.assumptions import notes
from genkit.errors import RunError
from genkit.parallel import group
from genkit.text import printable

if TYPE_CHECKING:
    from genkit.evaluation.figures import Evaluation
    from genkit.record.diagnosis import Note
    from genkit.record.directory import RunDirectory
    from genkit.record.run import Run
    from genkit.record.scores import EpochRecord, Scores
    from genkit.record.scores import Progress as EpochProgress

SECONDS_BETWEEN_LINES = 2.0


class ProgressBar:
    """A bar with throughput, time left and the terms in nats, and a line per epoch; without a terminal only the lines.

    If epochs are short, only one line every few seconds is printed; the first and the last one always are.

    Args:
        console: the console to print on.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.run: Run | None = None
        self.last_line = 0.0
        self.said: set[str] = set()
        """The rules of the diagnosis that have spoken."""
        self.task: TaskID | None = None
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def run_started(self, run: Run) -> None:
        """Print the data, the model and the device, and start the bar."""
        self.run = run
        parameters = sum(parameter.numel() for parameter in run.model.parameters())
        data = ", ".join(f"{count:,} {name}" for name, count in run.data.counts().items())
        name = printable(run.config.data.name)
        self.console.print(f"{name}: {data}; {parameters:,} parameters on {run.model.device}")
        self.console.print(
            f"data are taken as: {printable('; '.join(notes(run.data)))}", highlight=False, soft_wrap=True
        )
        if run.plan is not None:
            how = "compiled" if run.plan.compiled else "not compiled"
            self.console.print(f"steps are {how}: {printable(run.plan.reason)}", highlight=False, soft_wrap=True)
        if run.threads is not None:
            self.console.print(run.threads, highlight=False, soft_wrap=True)
        if run.history:
            self.console.print(f"going on after epoch {run.history[-1].epoch} of {run.epochs}")
        self.bar.start()
        self.task = self.bar.add_task("training", total=run.epochs, note="")
        self.bar.update(self.task, completed=len(run.history))

    def step_ended(self, run: Run, progress: EpochProgress) -> None:
        """Move the bar."""
        assert self.task is not None
        note = f"{progress.examples_per_second:,.0f} examples/s  {terms(progress.scores, progress.weights)}"
        done = progress.epoch - 1 + progress.step / progress.steps
        description = f"epoch {progress.epoch}/{progress.epochs}"
        self.bar.update(self.task, completed=done, description=description, note=note)

    def epoch_ended(self, run: Run, record: EpochRecord) -> None:
        """Print the line of the epoch."""
        assert self.task is not None
        epochs = run.epochs
        self.bar.update(self.task, completed=record.epoch, description=f"epoch {record.epoch}/{epochs}")
        self._say(run.notes(during=True))
        now = time.monotonic()
        if record.epoch not in (1, epochs) and now - self.last_line < SECONDS_BETWEEN_LINES:
            return
        self.last_line = now
        line = f"epoch {record.epoch:>{len(str(epochs))}}/{epochs}  train {terms(record.train, record.weights)}"
        if record.validation is not None:
            line += f"  validation {record.validation.loss:.2f}"
        rate, left = record.examples_per_second, record.seconds * (epochs - record.epoch)
        self.console.print(f"{line}  {rate:,.0f} examples/s, {left:,.0f} s left", highlight=False, soft_wrap=True)
        if record.epoch == epochs:
            self.bar.update(self.task, description="figures and pictures", note="")

    def run_ended(self, run: Run) -> None:
        """Print the figures of the test split, and the last epoch where training ended early."""
        done, epochs = run.history[-1].epoch, run.epochs
        if done < epochs:
            self.console.print(f"training was ended after epoch {done} of {epochs}", highlight=False)
        if run.kept is not None:
            self.console.print(f"the weights are those of epoch {run.kept}, the best on the validation data")
        test = run.evaluation
        if test is not None and test.reconstruction is not None:
            figures = f"reconstruction {test.reconstruction:.2f}"
            if test.elbo is not None:
                figures = f"ELBO {test.elbo:.2f} = −({figures} + KL {test.kl:.2f})"
            self.console.print(f"test: {figures} nats per datum{units(test)}", highlight=False, soft_wrap=True)
        self._say(run.notes())

    def _say(self, notes: list[Note]) -> None:
        """Print the notes of rules that have not spoken yet."""
        for note in notes:
            if note.rule not in self.said:
                self.console.print(tables.note_line(note), highlight=False, soft_wrap=True)
        self.said |= {note.rule for note in notes}

    def run_stopped(self, run: Run) -> None:
        """Remove the bar."""
        self.bar.stop()


def units(test: Evaluation) -> str:
    """The units of the figures as text, where the data are transformed: training reports the model's units."""
    if test.own_units is not None:
        return f", in the units of {printable(test.own_units)}"
    if test.log_det is None or test.reconstruction is None:
        return ""
    model = test.reconstruction + test.log_det
    return f", in the data's own units; in the model's, as in training, the reconstruction is {model:.2f}"


def terms(scores: Scores, weights: dict[str, float]) -> str:
    """The terms as text, in nats per datum: `loss 92.65 (reconstruction 80.10 + 0.5 × kl 25.10)`."""
    factors = {name: "" if weight == 1 else f"{weight:.3g} × " for name, weight in weights.items()}
    parts = " + ".join(f"{factors[name]}{name} {value:.2f}" for name, value in scores.terms.items())
    critics = "".join(f", critic of {name} {value:.2f}" for name, value in scores.critics.items())
    return printable(f"loss {scores.loss:.2f} ({parts}{critics})")


@contextmanager
def following() -> Iterator[ProgressBar]:
    """A progress bar for a run inside the block; after a signal or a full disk, a message says how to go on."""
    progress = ProgressBar(tables.console(highlight=True, quiet=not group.is_leader()))
    try:
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


def print_files(directory: RunDirectory) -> None:
    """Print the paths of a finished run's pictures and weights, and of its directory last."""
    if group.is_leader():
        say(f"pictures: {directory.pictures}")
        say(f"weights: {directory.model}")
        say(directory.path)
