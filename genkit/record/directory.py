"""The directory of a run: what is where, and how it comes to be without ever overwriting another."""

from __future__ import annotations

import json
from pathlib import Path

from genkit.errors import RunError
from genkit.files import atomic
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
        """Versions of what made the run, and the plugins that it used."""
        self.metrics = path / "metrics.jsonl"
        """One JSON object an epoch."""
        self.checkpoint = path / "checkpoint.safetensors"
        """The state after the last whole epoch."""
        self.stopped = path / "stopped.json"
        """After which epoch a listener ended training, and which; there only where one did, before the last epoch."""
        self.model = path / MODEL_FILE
        """The trained model; there only once the run is finished."""
        self.evaluation = path / "evaluation.json"
        """The figures of the test split."""
        self.pictures = path / "pictures"

    @classmethod
    def claim(cls, name: str, out: Path | None = None) -> RunDirectory:
        """A new directory that nothing else writes to: `out`, or runs/NAME, runs/NAME-2, ...

        Raises:
            RunError: `out` is there already and not empty, or it cannot be written.
        """
        return cls(_claim(out) if out is not None else _claim_next(ROOT / name))

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """A directory that is there; raises RunError where it is no run."""
        opened = cls(Path(path))
        if not opened.config.is_file():
            raise RunError(f"{path}: is no run directory: it has no config.yaml; runs are in {ROOT}/")
        return opened

    def stopped_after(self) -> int | None:
        """The epoch after which a listener ended training; None: none did."""
        return int(json.loads(self.stopped.read_text("utf-8"))["epoch"]) if self.stopped.is_file() else None

    def append_metrics(self, record: EpochRecord) -> None:
        """Add an epoch's line."""
        try:
            with self.metrics.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record.to_json()) + "\n")
        except OSError as error:
            raise RunError(f"cannot write {self.metrics}: {error.strerror}") from error

    def history(self) -> list[EpochRecord]:
        """The records of the epochs so far.

        Raises:
            RunError: the file is damaged.
        """
        return [self._record(line) for line in self._lines()]

    def cut_history(self, epochs: int) -> list[EpochRecord]:
        """The records of the first epochs, and the file cut to them: what comes after is run again."""
        lines = self._lines()[:epochs]
        if self.metrics.is_file():
            atomic.write_text(self.metrics, "".join(line + "\n" for line in lines))
        return [self._record(line) for line in lines]

    def _lines(self) -> list[str]:
        return self.metrics.read_text("utf-8", "replace").splitlines() if self.metrics.is_file() else []

    def _record(self, line: str) -> EpochRecord:
        try:
            return EpochRecord.from_json(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(
                f"{self.metrics}: is damaged, or of another version of genkit ({error}); the run can be read without it"
            ) from None


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
