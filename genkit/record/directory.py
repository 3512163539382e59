"""A run's directory: its files, and its creation, which never overwrites another run."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path

from genkit.errors import GenkitWarning, RunError, in_a_line
from genkit.files import atomic, strict_json
from genkit.files.lock import NAME as LOCK
from genkit.record.run_names import CONFIG_FILE as CONFIG_FILE
from genkit.record.run_names import ROOT as ROOT
from genkit.record.scores import EpochRecord
from genkit.record.stages import Stages
from genkit.text import encodable

MODEL_FILE = "model.safetensors"


class RunDirectory:
    """The files of one run.

    Args:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / CONFIG_FILE
        """The resolved config: every option, defaults included."""
        self.environment = path / "environment.json"
        """The versions of the software, and the plugins of the run."""
        self.local = path / "local.json"
        """When, in which folder, where relative paths begin, from which config, with which options and in which job the
        run was started; shared with nobody."""
        self.metrics = path / "metrics.jsonl"
        """One JSON object per epoch."""
        self.checkpoint = path / "checkpoint.safetensors"
        """The state after the last whole epoch."""
        self.previous_checkpoint = path / "checkpoint-before.safetensors"
        """The checkpoint before it, which is read where the newest is damaged."""
        self.init = path / "init.json"
        """The trained model that parts started from, with the fingerprint of its weights; missing where none did."""
        self.stopped = path / "stopped.json"
        """The epoch after which training ended early, and the listener or the option that ended it; or missing."""
        self.failure = path / "failure.json"
        """The error that ended the run when it was last trained; missing where none did."""
        self.kept = path / "kept.json"
        """The epoch whose weights are kept as the best, and the figure that says so; missing where the last are."""
        self.changes = path / "changes.json"
        """The options that a resumed run was given, and after which epoch; missing where there are none."""
        self.model = path / MODEL_FILE
        """The trained model; missing until the run is finished."""
        self.evaluation = path / "evaluation.json"
        """The figures of the test split."""
        self.code = path / "code"
        """Copies of the plugins in one file that the run began with, for people: nothing runs them from there."""
        self.pictures = path / "pictures"
        """The folder of the pictures."""
        self.stages = Stages(path / "stages.json", self.model)
        """The stages of the run that are done."""

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @classmethod
    def claim(cls, name: str, out: Path | None = None) -> RunDirectory:
        """A directory for a new run: `out`, or the first of runs/NAME, runs/NAME-2, ... that is not taken.

        Raises:
            RunError: `out` exists and is not empty, or the directory cannot be written, or its name is no UTF-8.
        """
        if out is not None and encodable(str(out)) != str(out):  # libraries write weights there, and cannot read them
            raise RunError(f"--out {out}: is no UTF-8, as names of files have to be; choose another --out")
        directory = cls(_claim(out) if out is not None else _claim_next(ROOT / name))
        directory.check_empty()
        return directory

    def names(self) -> set[str]:
        """The names of the run's own files."""
        paths = {value for value in vars(self).values() if isinstance(value, Path)} - {self.path}
        return {LOCK, *(path.name for path in (*paths, self.stages.path))}

    def check_empty(self) -> None:
        """Refuse a directory that holds more than its lock and what processes left that were killed as they began."""
        self.sweep()
        if {path.name for path in self.path.iterdir()} - {LOCK, self.local.name}:
            message = f"{self.path} is there already; a run never overwrites: choose another --out, or remove it"
            raise RunError(message)

    def sweep(self) -> None:
        """Remove what killed processes left half written."""
        for folder in (self.path, self.pictures, self.code):
            atomic.sweep(folder)

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """The directory of an existing run; raises RunError where it is no run's."""
        directory = cls(Path(path))
        if not directory.config.is_file():
            raise RunError(f"{path}: is no run directory: it has no config.yaml; runs are in {ROOT}/")
        return directory

    def stopped_after(self) -> int | None:
        """The epoch after which training ended early; None: it did not. RunError: the record is damaged."""
        try:
            return int(strict_json.read(self.stopped)["epoch"]) if self.stopped.is_file() else None
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            message = f"{self.stopped}: is damaged ({in_a_line(error)}); remove it, and the run trains to its end"
            raise RunError(message) from None

    def append_metrics(self, record: EpochRecord) -> None:
        """Append the line of an epoch to the metrics; raises RunError where they cannot be written."""
        try:
            with self.metrics.open("a", encoding="utf-8") as stream:
                stream.write(strict_json.dumps(record.to_json()) + "\n")
                stream.flush()
                os.fsync(stream.fileno())  # the checkpoint that follows counts on it
        except OSError as error:
            raise RunError(f"cannot write {self.metrics}: {error.strerror}") from error

    def history(self) -> list[EpochRecord]:
        """The records of the epochs so far.

        Raises:
            RunError: the file of metrics is damaged.
        """
        return [self.record_of(line) for line in self._lines()]

    def cut_history(self, epochs: int) -> list[EpochRecord]:
        """Cut the file of metrics to the first epochs, because later ones are run again; returns their records.

        Warns (GenkitWarning) where the file lacks one of these epochs.
        """
        lines = self._by_epoch(epochs)
        if self.metrics.is_file():
            atomic.write_text(self.metrics, "".join(lines[epoch] + "\n" for epoch in sorted(lines)))
        missing = [str(epoch) for epoch in range(1, epochs + 1) if epoch not in lines]
        if missing and self.metrics.is_file():
            message = f"{self.metrics}: lacks the figures of epoch {', '.join(missing)}"
            warnings.warn(message, GenkitWarning, stacklevel=2)
        return [self.record_of(lines[epoch]) for epoch in sorted(lines)]

    def _by_epoch(self, epochs: int) -> dict[int, str]:
        """The lines of the first epochs; of two lines of one epoch the last, and none that is damaged."""
        lines = {}
        for line in self._lines():
            with contextlib.suppress(RunError):
                lines[self.record_of(line).epoch] = line
        return {epoch: line for epoch, line in lines.items() if epoch <= epochs}

    def _lines(self) -> list[str]:
        return self.metrics.read_text("utf-8", "replace").splitlines() if self.metrics.is_file() else []

    def record_of(self, line: str) -> EpochRecord:
        """The record of a line of the metrics; raises RunError where it is damaged."""
        try:
            return EpochRecord.from_json(strict_json.loads(line))
        except ValueError as error:
            what = f"is damaged, or of another version of genkit ({in_a_line(error)}); the run can be read without it"
            raise RunError(f"{self.metrics}: {what}") from None


def _claim_next(path: Path) -> Path:
    number = 1
    while True:
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            _make(candidate, exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return candidate


def _claim(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is there already, and is no folder: choose another --out")
    _make(path, exist_ok=True)
    return path


def _make(path: Path, exist_ok: bool) -> None:
    try:
        path.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        raise
    except OSError as error:
        message = (
            f"cannot make the run directory {path}: {error.strerror}; choose a place that can be written with --out"
        )
        raise RunError(message) from error
