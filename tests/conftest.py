"""What several test modules share: a small finished run, and the command line as a function."""

from __future__ import annotations

import gc
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file

from genkit.evaluation import classifier
from genkit.interfaces import Component
from genkit.pictures import plots
from genkit.record.run import Run
from genkit.registry import registry as registering
from genkit.registry.handover import Files
from genkit.registry.hooks import RUN_HOOKS
from genkit.registry.registry import Registry, installed, register, registry
from genkit.registry.selection import FIRST_PARTY, VARIABLE, Selection
from genkit.runs.comparison import Compared, compare
from genkit.runs.running import run
from genkit.sharing import weights
from tests.processes import Processes

# Small models gain nothing from threads, and lose much where other processes have work too.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)


def _leave_out_what_else_is_installed() -> None:
    """Make the registry of this process with what comes with genkit alone, whatever other plugins there are."""
    with pytest.MonkeyPatch.context() as patched:
        own = [offer for offer in registering.offers() if offer.distribution == FIRST_PARTY]
        patched.setattr(registering, "offers", lambda: own)
        patched.delenv(VARIABLE, raising=False)
        registry()


_leave_out_what_else_is_installed()


frozen = 0
"""The number of modules that the search for garbage leaves out."""


def pytest_collection_finish() -> None:
    """Keep what is imported out of every later search for garbage."""
    _freeze()


def pytest_runtest_logfinish() -> None:
    """The same where a test has imported large libraries, such as torch's compiler."""
    if len(sys.modules) > frozen + 200:
        _freeze()


def _freeze() -> None:
    global frozen
    gc.collect()
    gc.freeze()
    frozen = len(sys.modules)


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
def altered() -> Callable[[Path, Path, Callable[[dict[str, Any]], Any]], Path]:
    """`altered(path, source, change)`: a copy of a model file whose header went through `change`."""

    def copy(path: Path, source: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
        tensors, metadata = weights.read_tensors(source)
        header = json.loads(metadata[weights.KEY])
        change(header)
        save_file(tensors, path, metadata={weights.KEY: json.dumps(header)})
        return path

    return copy


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without pictures and without listeners of installed plugins: what a test of the run itself needs."""
    _strip(monkeypatch)


@pytest.fixture(scope="session")
def bare_run() -> Callable[..., Run]:
    """`run`, without pictures and without listeners, for fixtures of any scope."""

    def strip_and_run(*arguments: Any, **options: Any) -> Run:
        with pytest.MonkeyPatch.context() as patched:
            _strip(patched)
            return run(*arguments, **options)

    return strip_and_run


def _strip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "draw_all", lambda *_: [])
    installed()
    manager = registry().manager
    for name in RUN_HOOKS:
        monkeypatch.setattr(getattr(manager.hook, name), "_hookimpls", [])


SMALL = {
    "vae-digits": ["encoder.hidden=[16]", "decoder.hidden=[16]"],
    "gan": ["data.size=8", "data.validation=0.1", "decoder.hidden=[16]", "loss.adversarial.critic.hidden=[16]"],
    "autoencoder": ["data.size=8", "encoder.hidden=[16]", "decoder.hidden=[16]"],
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Bare runs of three epochs of the same digits: vae-digits, gan and autoencoder; tests only read them."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patched:
        _strip(patched)
        return {
            name: run(ROOT / "examples" / f"{name}.yaml", ["training.epochs=3", *small], out=folder / name)
            for name, small in SMALL.items()
        }


@pytest.fixture(scope="session")
def compared(trained: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """The three of them side by side, by features of a classifier that has seen little."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(classifier, "STEPS", 50)
        paths = [one.directory.path for one in trained.values()]
        return compare(paths, cache=tmp_path_factory.mktemp("features"))


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
    """Of a process of its own that finds this interpreter's commands, and of plugins those of genkit alone."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "COLUMNS": "120", VARIABLE: "none"}


@pytest.fixture(scope="session")
def process() -> Iterator[Processes]:
    """`process("genkit", "run", path, env=environment)`: a command in a process of its own, run to its end."""
    processes = Processes()
    yield processes
    processes.close()


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`once(name, make)`: the folder that `make(folder)` filled, once for all workers that share this session."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder_of(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / name
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                unfinished = Path(tempfile.mkdtemp(dir=shared))
                make(unfinished)
                unfinished.rename(folder)
        return folder

    return folder_of


@pytest.fixture(scope="session")
def users_cache(once: Callable[..., Path]) -> Path:
    """An empty cache of the user's, in which what one process of this session has trained serves all others."""
    return once("cache", lambda _: None)


@pytest.fixture(scope="session")
def wheels_of(once: Callable[..., Path]) -> Callable[..., Path]:
    """`wheels_of(name, *sources)`: the folder of the wheels that pip builds, by hatchling as it is here."""

    def build(name: str, *sources: Path) -> Path:
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir"]
        return once(name, lambda folder: pip("wheel", *options, folder, *sources))

    return build


def pip(*words: object) -> None:
    """Run pip, which has to succeed."""
    subprocess.run([sys.executable, "-m", "pip", *QUIETLY, *map(str, words)], check=True)


QUIETLY = ("--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="session")
def genkit_wheel(wheels_of: Callable[..., Path]) -> Path:
    """The wheel of the tree that is tested."""
    (wheel,) = wheels_of("wheel", ROOT).glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def unpacked(once: Callable[..., Path]) -> Callable[..., Path]:
    """`unpacked(name, *wheels)`: a folder for PYTHONPATH into which pip installed wheels or sources."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed", "--target"]
    return lambda name, *wheels: once(name, lambda folder: pip("install", *options, folder, *wheels))


@pytest.fixture
def new_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`new_machine(GENKIT_PLUGINS)`: from here on nobody has run any plugin in one file; it is called once before."""
    installed()
    whole, caches = registry(), itertools.count()

    def move(wanted: str = "all", cache: Path | None = None) -> None:
        _forget_files(whole)
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache or tmp_path / f"cache-{next(caches)}"))
        whole.files = Files()
        whole.wanted = Selection.of(whole.files.handed_over(wanted, Path(), VARIABLE), VARIABLE)
        whole.files.of_environment = whole.wanted.files

    move()
    yield move
    _forget_files(whole)
    whole.files, whole.wanted = Files(), Selection()


def _forget_files(whole: Registry) -> None:
    for plugin in [each for each in whole.plugins if each.sha256 is not None]:
        whole._forget(plugin)


@pytest.fixture
def variant(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Registers a component with other members under a name of its own, for one test; returns the name."""
    installed()  # or what this test imports would be forgotten with it
    monkeypatch.setattr(registry(), "_claims", {key: list(claims) for key, claims in registry()._claims.items()})
    monkeypatch.setattr(registry(), "plugins", list(registry().plugins))

    def make(base: type[Component], **members: Any) -> str:
        name = "of-test"
        config = type("Config", (base.Config,), {"__annotations__": {"name": Literal[name]}, "name": name})
        register(type("Variant", (base,), {"Config": config, **members}))
        return name

    return make
