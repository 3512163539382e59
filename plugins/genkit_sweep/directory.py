"""The directory of a sweep: its plan, and the runs, logs and results in it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter

from genkit.errors import RunError, in_a_line
from genkit.files import atomic, strict_json
from genkit.files.lock import NAME as LOCK
from genkit.files.lock import locked
from genkit.record.directory import RunDirectory

ROOT = Path("sweeps")
PLAN = "sweep.json"
TURN = 0.05
"""The seconds between two attempts to lock a folder."""

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What a sweep runs; it is fixed when the sweep begins, so that a sweep that goes on is the same one."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    config: str
    """The path of the config."""
    sha256: str
    """The hash of its text."""
    folder: str
    """The folder in which the sweep was begun, where relative paths start."""
    options: tuple[str, ...]
    """The options as they were typed, those that vary and those that do not."""
    threads: int | None
    """The threads of each run; None: the options say."""
    has_validation: bool
    """Whether the data have a validation split, whose figures rank the runs."""
    by: str | None = None
    """The figure that ranks, as typed; None: the ELBO, or the loss where there is none."""
    search: int | None = None
    """The number of runs of a search; None: it is a grid."""
    log: tuple[str, ...] = ()
    """The options whose ranges are searched on a logarithmic scale."""
    seed: int = 0
    """The seed of the search."""


def fingerprint(config: Path) -> str:
    """The hash of a config's text; raises RunError where it cannot be read."""
    try:
        return hashlib.sha256(config.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{config}: cannot be read: {error.strerror}; the sweep needs its config") from None


@dataclass(frozen=True)
class Result:
    """The result of a run of a sweep."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    number: int
    options: dict[str, str]
    """The options that vary, with their values as text."""
    state: Literal["done", "failed", "retried"]
    figures: dict[str, float]
    """Numbers by keys such as `validation.elbo` and `test.kl`."""
    units: dict[str, str]
    """The transforms without a log|det J| in whose units the densities of a split are; empty: in the data's own."""
    epochs: int
    seconds: float
    """The seconds of training."""
    error: str = ""
    """Why it failed."""


@functools.cache
def _plans() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


@functools.cache
def _results() -> TypeAdapter[Result]:
    return TypeAdapter(Result)


def _read(adapter: TypeAdapter[T], path: Path, remedy: str) -> T:
    """An object from its JSON file; raises RunError, with the remedy, where it is damaged."""
    try:
        return adapter.validate_python(strict_json.read(path))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: is damaged, or of another version of genkit ({in_a_line(error)}); {remedy}") from None


def _write(path: Path, value: Any) -> None:
    atomic.write_text(path, strict_json.dumps(asdict(value), indent=2) + "\n")


class SweepDirectory:
    """The files of a sweep.

    Args:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan = path / PLAN
        self.study = path / "study.jsonl"
        """The journal of a search, which processes share."""
        self.page = path / "sweep.html"
        self._cache: dict[int, tuple[int, Result]] = {}
        """Results with the times at which their files were written."""

    def run(self, number: int) -> RunDirectory:
        """The directory of a run."""
        return RunDirectory(self.path / "runs" / f"{number:04d}")

    def log(self, number: int) -> Path:
        """What a run printed."""
        return self.path / "logs" / f"{number:04d}.txt"

    def result_file(self, number: int) -> Path:
        """The result of a run that is done or has failed; missing until then."""
        return self.path / "results" / f"{number:04d}.json"

    def numbers(self) -> set[int]:
        """The numbers of the runs that are done or have failed."""
        return {int(path.stem) for path in (self.path / "results").glob("[0-9]*.json")}

    def results(self) -> list[Result]:
        """The results so far, by their numbers."""
        return [self.result(number) for number in sorted(self.numbers())]

    def result(self, number: int) -> Result:
        """The result of a run; raises RunError where it is damaged."""
        path = self.result_file(number)
        moment = path.stat().st_mtime_ns
        if number not in self._cache or self._cache[number][0] != moment:
            self._cache[number] = (moment, _read(_results(), path, "remove it, and its run is taken up again"))
        return self._cache[number][1]

    def record(self, result: Result) -> None:
        """Write the result of a run."""
        _write(self.result_file(result.number), result)

    def read_plan(self) -> Plan:
        """The plan; raises RunError where the directory is no sweep's."""
        if not self.plan.is_file():
            raise RunError(f"{self.path}: is no sweep's directory: it has no {PLAN}; sweeps are in {ROOT}/")
        return _read(_plans(), self.plan, "begin another sweep, with another --out")

    @contextlib.contextmanager
    def claimed(self, number: int) -> Iterator[bool]:
        """Hold a run in the block, which one process alone can; gives whether it is held and still to be run."""
        folder = self.path / "claims" / f"{number:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(folder))
            except RunError:
                yield False
                return
            yield not (self.result_file(number).is_file() or self.is_written(number))

    def is_written(self, number: int) -> bool:
        """Whether another process trains a run now, as one does whose sweep was killed."""
        path = self.run(number).path
        if not path.is_dir():
            return False
        try:
            with locked(path):
                return False
        except RunError:
            return True


def begin(plan: Plan, out: Path) -> tuple[SweepDirectory, Plan]:
    """The directory of a sweep, new or one that goes on, and its plan.

    Raises:
        RunError: the directory holds another sweep, or something else, or cannot be written.
    """
    directory = SweepDirectory(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--out {out}: cannot be written: {error.strerror}; choose another --out") from None
    with turn(out):
        if directory.plan.is_file():
            plan = _continued(directory, plan)
        elif {path.name for path in out.iterdir()} - {LOCK}:
            raise RunError(f"--out {out}: holds other files, and no sweep; choose another --out")
        _write(directory.plan, plan)
    return directory, plan


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder in the block, once no other process does."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder))
            except RunError:
                time.sleep(TURN)
            else:
                break
        yield


def _continued(directory: SweepDirectory, plan: Plan) -> Plan:
    """The plan of a sweep that goes on; RunError: another one was begun there."""
    before = directory.read_plan()
    fixed = ["config", "sha256", "folder", "options", "log", "seed"] + ["by"] * (before.search is not None)
    changed = [name for name in fixed if getattr(before, name) != getattr(plan, name)]
    if (before.search is None) != (plan.search is None):
        changed.append("search")
    if changed:
        names = {"sha256": "the text of the config"}
        what = ", ".join(names.get(name, name) for name in changed)
        message = f"a sweep was begun there with other values of: {what}; choose another --out, or go on with it as it"
        raise RunError(f"{directory.path}: {message} was by genkit sweep {directory.path}")
    return replace(plan, threads=before.threads)


def reopened(path: Path) -> tuple[SweepDirectory, Plan]:
    """A sweep that goes on; raises RunError where it is none, or where its config has changed since."""
    directory = SweepDirectory(path)
    plan = directory.read_plan()
    if fingerprint(Path(plan.config)) != plan.sha256:
        raise RunError(
            f"{plan.config}: has changed since the sweep {path} was begun, and its runs would not be comparable; put "
            "it back, or begin another sweep with another --out"
        )
    return directory, plan
