"""The directory of a run: what is where, and how it comes to be without ever overwriting another."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from genkit import atomic, yamlfile
from genkit.config import RunConfig
from genkit.config import load as load_config
from genkit.errors import ConfigError, RunError
from genkit.provenance import PluginRecord, code_hash, explained, plugins_of
from genkit.registry import registry
from genkit.scores import EpochRecord
from genkit.weights import CONFIG_FILE, MODEL_FILE

ROOT = Path("runs")


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
        self.model = path / MODEL_FILE
        """The trained model; there only once the run is finished."""
        self.evaluation = path / "evaluation.json"
        """The figures of the test split."""
        self.pictures = path / "pictures"

    @classmethod
    def create(cls, config: RunConfig, out: Path | None = None) -> RunDirectory:
        """A new directory: `out`, or runs/NAME, runs/NAME-2, ...; the resolved config is the first file in it.

        Raises:
            RunError: `out` is there already and not empty, or it cannot be written.
        """
        path = _claim(out) if out is not None else _claim_next(ROOT / config.name)
        made = cls(path)
        atomic.write_text(made.config, yamlfile.write(config.resolved()))
        atomic.write_text(made.environment, json.dumps(environment(config), indent=2) + "\n")
        return made

    @classmethod
    def unfinished(cls, config: RunConfig, out: Path | None = None) -> RunDirectory | None:
        """The latest directory of this very config in which a run was begun and not finished, if there is one."""
        paths = [out] if out is not None else ROOT.glob(f"{config.name}*")
        begun = [made for made in map(cls, paths) if made.config.is_file() and not made.model.is_file()]
        for made in sorted(begun, key=lambda made: made.config.stat().st_mtime, reverse=True):
            if made.load_config() == config:
                return made
        return None

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """A directory that is there; raises RunError where it is no run."""
        opened = cls(Path(path))
        if not opened.config.is_file():
            raise RunError(f"{path}: is no run directory: it has no config.yaml; runs are in {ROOT}/")
        return opened

    def load_config(self) -> RunConfig:
        """The resolved config of the run.

        Raises:
            ComponentError: a plugin that it was made with is not here, or is another; with the pip install line.
            ConfigError: it is damaged.
        """
        try:
            return load_config(self.config)
        except ConfigError as error:
            raise explained(error, self.plugins(), self.path) from None

    def plugins(self) -> list[PluginRecord]:
        """What the run was made with; nothing where that cannot be read."""
        try:
            found = json.loads(self.environment.read_text("utf-8"))["plugins"]
            return [PluginRecord.model_validate(record) for record in found]
        except (OSError, ValueError, KeyError, TypeError):
            return []

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


def environment(config: RunConfig) -> dict[str, Any]:
    """What a run was made with: versions, the machine, and the plugins that it uses, with the hashes of their code."""
    packages = ("genkit-torch", "torch", "numpy", "pluggy", "pydantic", "safetensors")
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
        "platform": platform.platform(),
        "plugins": [plugin.model_dump(mode="json") for plugin in plugins_of(config)],
        "listeners": [
            {"plugin": f"{p.distribution}/{p.name}", "version": p.version, "sha256": code_hash(p.distribution)}
            for p in registry().plugins
            if p.events and registry().wants(p)
        ],
    }


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
