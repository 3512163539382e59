"""The display of a sweep: a line per run that ends, and beneath them, on a terminal, what runs and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, final

from genkit.text import printable
from genkit_sweep.directory import Result, SweepDirectory
from genkit_sweep.results import brief
from genkit_sweep.trials import Trial, Trials

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

LITTLE = 0.1
"""The part of a run that has to be done before the time left is estimated."""
WIDTH = 79
"""The most columns that the display takes of a terminal."""


@final
class Display:
    """Shows a sweep on a console.

    Args:
        console: the console.
        figure: takes a result and gives the figure that ranks, as text.
        epochs: takes a trial and gives the epochs of its training; None: not known.
    """

    def __init__(
        self, console: Console, figure: Callable[[Result], str], epochs: Callable[[Trial], int | None]
    ) -> None:
        self.console, self.figure, self.epochs_of = console, figure, epochs
        self.live: Live | None = None
        self.began_at = time.monotonic()
        self.directory: SweepDirectory | None = None
        self.epochs: dict[int, int | None] = {}
        self.before: dict[int, float] = {}
        """The part of each run that was done when it began or was resumed here."""
        self.gained = 0.0
        """The runs that were done here, parts of runs included."""

    def __enter__(self) -> Display:
        from rich.live import Live

        if self.console.is_terminal:
            self.live = Live(console=self.console, refresh_per_second=4, transient=True, redirect_stdout=False)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def began(self, trial: Trial, directory: SweepDirectory) -> None:
        """Take note of the place of a run."""
        self.directory = directory
        self.epochs[trial.number] = self.epochs_of(trial)
        self.before[trial.number] = self._part(trial)

    def ended(self, trial: Trial, result: Result | None) -> None:
        """Print the line of a run that ended."""
        if result is None:
            return
        self.gained += 1 - self.before.get(trial.number, 0.0)
        has_failed = result.state == "failed"
        words = [f"failed: {result.error}"] if has_failed else [self.figure(result), duration(result.seconds)]
        self._print("  ".join(filter(None, [f"{trial.number:04d}", brief(trial.options), *words])))

    def _print(self, line: str) -> None:
        cut = "ellipsis" if self.console.is_terminal else "ignore"
        self.console.print(printable(line), soft_wrap=not self.console.is_terminal, no_wrap=True, overflow=cut)  # type: ignore[arg-type]

    def looked(self, running: list[Trial], trials: Trials) -> None:
        """Bring the line beneath up to date."""
        if self.live is not None:
            from rich.text import Text

            self.live.update(Text(self.line(running, trials, min(WIDTH, self.console.width)), no_wrap=True))

    def line(self, running: list[Trial], trials: Trials, width: int) -> str:
        """The state of the sweep on one line of at most `width` characters; details go first, the time left never."""
        assert self.directory is not None or not running
        results = trials.directory.results()
        over = [result for result in results if result.state != "retried"]
        failures = sum(result.state == "failed" for result in over)
        parts = {trial.number: self._part(trial) for trial in running}
        left = self._left(trials.count - len(over), parts)
        done = f"{len(over) - failures} of {trials.count} done" + (f", {failures} failed" if failures else "")
        runs = [f"{number:04d} {part:.0%}" for number, part in parts.items()]
        count = f"{len(running)} running" if running else "others run the rest" if len(over) < trials.count else ""
        choices = [[done, ", ".join(runs) or count, left], [done, count, left], [done, left], [left]]
        lines = ["  ".join(filter(None, choice)) for choice in choices]
        return next((line for line in lines if len(line) <= width), lines[-1])

    def _part(self, trial: Trial) -> float:
        """The part of a run's epochs that are done, from 0 to 1."""
        epochs = self.epochs.get(trial.number)
        path = self.directory.run(trial.number).metrics if self.directory is not None else None
        if not epochs or path is None or not path.is_file():
            return 0.0
        return min(1.0, path.read_bytes().count(b"\n") / epochs)

    def _left(self, count: int, parts: dict[int, float]) -> str:
        """The time left as text, from the rate so far.

        Args:
            count: the runs that have no result.
            parts: the parts of the running ones that are done.
        """
        gained = self.gained + sum(part - self.before.get(number, 0.0) for number, part in parts.items())
        if gained < LITTLE:
            return "time left not known yet"
        seconds = (count - sum(parts.values())) * (time.monotonic() - self.began_at) / gained
        return f"{duration(seconds)} left"


def duration(seconds: float) -> str:
    """A time in its largest two units: `1 h 5 min`, `3 min 20 s`, `12 s`."""
    if 0 < seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
