"""A run's directory: its files, and its creation, which never overwrites another run."""

from __future__ import annotations

import json
from pathlib import Path

from genkit.errors import RunError, in_a_line
from genkit.files import atomic, strict_json
from genkit.record.scores import EpochRecord

ROOT = Path("runs")
MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.yaml"


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
        self.metrics = path / "metrics.jsonl"
        """One JSON object per epoch."""
        self.checkpoint = path / "checkpoint.safetensors"
        """The state after the last whole epoch."""
        self.stopped = path / "stopped.json"
        """The epoch after which a listener ended training early, and the listener's name; missing where none did."""
        self.model = path / MODEL_FILE
        """The trained model; missing until the run is finished."""
        self.evaluation = path / "evaluation.json"
        """The figures of the test split."""
        self.pictures = path / "pictures"

    @classmethod
    def claim(cls, name: str, out: Path | None = None) -> RunDirectory:
        """A new directory for this run alone: `out`, or the first of runs/NAME, runs/NAME-2, ... that is not taken.

        Raises:
            RunError: `out` exists and is not empty, or the directory cannot be written.
        """
        return cls(_claim(out) if out is not None else _claim_next(ROOT / name))

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """The directory of an existing run; raises RunError where it is no run's."""
        directory = cls(Path(path))
        if not directory.config.is_file():
            raise RunError(f"{path}: is no run directory: it has no config.yaml; runs are in {ROOT}/")
        return directory

    def stopped_after(self) -> int | None:
        """The epoch after which a listener ended training early; None: no listener did."""
        return int(json.loads(self.stopped.read_text("utf-8"))["epoch"]) if self.stopped.is_file() else None

    def append_metrics(self, record: EpochRecord) -> None:
        """Append the line of an epoch to the metrics; raises RunError where they cannot be written."""
        try:
            with self.metrics.open("a", encoding="utf-8") as stream:
                stream.write(strict_json.dumps(record.to_json()) + "\n")
        except OSError as error:
            raise RunError(f"cannot write {self.metrics}: {error.strerror}") from error

    def history(self) -> list[EpochRecord]:
        """The records of the epochs so far.

        Raises:
            RunError: the file of metrics is damaged.
        """
        return [self._record(line) for line in self._lines()]

    def cut_history(self, epochs: int) -> list[EpochRecord]:
        """Cut the file of metrics to the first epochs, because later ones are run again; returns their records."""
        lines = self._lines()[:epochs]
        if self.metrics.is_file():
            atomic.write_text(self.metrics, "".join(line + "\n" for line in lines))
        return [self._record(line) for line in lines]

    def _lines(self) -> list[str]:
        return self.metrics.read_text("utf-8", "replace").splitlines() if self.metrics.is_file() else []

    def _record(self, line: str) -> EpochRecord:
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
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise RunError(f"{path} is there already; a run never overwrites: choose another --out, or remove it")
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
