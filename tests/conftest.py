"""What several test modules share: a small finished run, and the command line as a function."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import torch

from genkit import pictures
from genkit.interfaces import Component
from genkit.registry import EVENTS, register, registry
from genkit.runs import Run, run

# Small models gain nothing from threads, and lose much where other processes have work too.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "examples" / "vae-digits.yaml"


@pytest.fixture(scope="session")
def digits() -> Path:
    """The config of the bundled digits."""
    return DIGITS


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run of three epochs, pictures and event files included; tests only read it."""
    return run(DIGITS, ["training.epochs=3"], out=tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without pictures and without listeners of installed plugins: what a test of the run itself needs."""
    monkeypatch.setattr(pictures, "draw_all", lambda *_: [])
    manager = registry().manager
    listening = [plugin for name, plugin in manager.list_name_plugin() if hasattr(plugin, "run_started")]
    for plugin in listening:
        hooks = [getattr(manager.hook, event) for event in EVENTS]
        for hook in hooks:
            kept = [known for known in hook.get_hookimpls() if known.plugin is not plugin]
            monkeypatch.setattr(hook, "_hookimpls", kept)


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`cli("run", path)`: the command line in this process; gives the exit code and what was printed."""
    from genkit.cli import main

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["genkit", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        else:
            code = 0
        return Answer(code, *capfd.readouterr())

    return call


@pytest.fixture
def environment() -> dict[str, str]:
    """Of a process of its own that finds this interpreter's commands."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "COLUMNS": "120"}


@pytest.fixture
def variant(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Registers a component with other members under a name of its own, for one test; returns the name."""
    monkeypatch.setattr(registry(), "_claims", {key: list(claims) for key, claims in registry()._claims.items()})
    monkeypatch.setattr(registry(), "plugins", list(registry().plugins))

    def make(base: type[Component], **members: Any) -> str:
        name = "of-test"
        config = type("Config", (base.Config,), {"__annotations__": {"name": Literal[name]}, "name": name})
        register(type("Variant", (base,), {"Config": config, **members}))
        return name

    return make
