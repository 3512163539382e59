"""Trials: a run that is killed again and again and resumed each time, beside the same run without interruption.

As a script it takes a file of trials in JSON and prints their results. It imports genkit once, and forks for each
command.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.crash import Crash, Operations

SECONDS = 120
"""How long a command may take."""
TIMES = ("seconds", "examples_per_second")
LITTER = (".genkit-*", ".lock", "*.spare")


SWALLOWED = re.compile(r"Exception ignored in: .*\nTraceback [^$]*?\n(KeyboardInterrupt|SystemExit).*\n")
"""Python's note that code in C dropped the exception of a signal; the training that follows meets the signal."""


class End(NamedTuple):
    """How a command ended."""

    code: int
    """The exit code; negative: the signal."""
    err: str
    hung: bool
    operations: int


class Result(NamedTuple):
    """What came of a trial."""

    crashes: int
    """How many of the crashes happened before the command had ended."""
    lost: list[str]
    """What kept the run from its end."""
    unequal: list[str]
    leftovers: list[str]
    tracebacks: list[str]
    hangs: int


def forked(words: Sequence[str], folder: Path, crash: Crash | None = None, env: Mapping[str, str] | None = None) -> int:
    """Start `genkit WORDS` in a fork that counts the operations in a folder; gives its process's number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = _genkit(words, folder, crash, env or {})
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _genkit(words: Sequence[str], folder: Path, crash: Crash | None, env: Mapping[str, str]) -> int:
    from genkit.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(env)
    for handle, kind in [(1, "out"), (2, "err")]:
        opened = os.open(f"{folder}.{kind}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, handle)
    operations = Operations(folder, crash)
    operations.arm()
    sys.argv = ["genkit", *words]
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    Path(f"{folder}.count").write_text(str(operations.count))
    return code


def command(words: Sequence[str], folder: Path, crash: Crash | None = None, processes: int = 1) -> End:
    """Run a command, of several processes where asked for: when one of them ends badly, so do the others."""
    for kind in ("out", "err", "count"):
        Path(f"{folder}.{kind}").unlink(missing_ok=True)
    envs = [{}] if processes == 1 else [_place(rank, processes) for rank in range(processes)]
    chosen = 0 if crash is None or crash.seconds is None else int(crash.seconds * 1e4) % processes
    children = {forked(words, folder, crash if rank == chosen else None, env) for rank, env in enumerate(envs)}
    codes, hung = _wait(children)
    code = next((each for each in codes if each), 0)
    count = Path(f"{folder}.count")
    err = Path(f"{folder}.err").read_text("utf-8", "replace") if Path(f"{folder}.err").exists() else ""
    return End(code, err, hung, int(count.read_text()) if count.exists() else 0)


def _place(rank: int, processes: int) -> dict[str, str]:
    port = str(20_000 + os.getpid() * 7 % 30_000 + int(time.monotonic()) % 97)
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **own}


def _wait(children: set[int]) -> tuple[list[int], bool]:
    codes, end = [], time.monotonic() + SECONDS
    while children:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            if time.monotonic() > end:
                _kill(children)
                return [*codes, -signal.SIGKILL], True
            time.sleep(0.002)
            continue
        children.discard(child)
        codes.append(os.waitstatus_to_exitcode(status))
        if codes[-1] and children:
            _kill(children)
            children = set()
    return codes, False


def _kill(children: set[int]) -> None:
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def trial(
    config: str, options: Sequence[str], whole: Path, folder: Path, crashes: Sequence[Crash], processes: int
) -> Result:
    """Run, crash, resume until no crash is left, and compare with the whole run."""
    happened, hangs, tracebacks = 0, 0, []
    end = End(0, "", False, 0)
    for crash in [*crashes, None]:
        began = (folder / "config.yaml").is_file()
        words = ["resume", str(folder)] if began else ["run", config, *options, "--out", str(folder)]
        end = command(words, folder, crash, processes)
        happened += crash is not None and end.code not in (0, 2)
        tracebacks += [end.err[-3000:]] if "Traceback" in SWALLOWED.sub("", end.err) else []
        hangs += end.hung
    finished = end.code == 0 or (end.code == 2 and "is finished after" in end.err)
    lost = [] if finished else [f"exit code {end.code}: {end.err[-600:]}"]
    unequal = differences(whole, folder) if finished else []
    return Result(happened, lost, unequal, leftovers(folder), tracebacks, hangs)


def leftovers(folder: Path) -> list[str]:
    """What a killed process left, and nobody removed."""
    return sorted({str(path.relative_to(folder)) for pattern in LITTER for path in folder.rglob(pattern)})


def differences(one: Path, other: Path) -> list[str]:
    """The files of two runs that are not equal: weights and figures bit for bit, metrics but for their times."""
    read: dict[str, Callable[[Path], Any]] = {"model.safetensors": _weights, "metrics.jsonl": _metrics}
    read["evaluation.json"] = Path.read_bytes
    names = [name for name, reader in read.items() if _content(one / name, reader) != _content(other / name, reader)]
    return names + sorted(_names(one) ^ _names(other))


def _content(path: Path, reader: Callable[[Path], Any]) -> Any:
    return reader(path) if path.is_file() else None


def _weights(path: Path) -> Any:
    """The bytes of each tensor, and the metadata, which safetensors writes in any order."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}, file.metadata()  # noqa: SIM118


def _metrics(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def _names(folder: Path) -> set[str]:
    """The files of a run, but for logs, its report and what only a resumed run has."""
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {
        name
        for name in files
        if not name.startswith(("events.", "projector", "report.html", ".")) and not name.endswith(".spare")
    }


def perform(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The whole run of a variant, and its trials: `{"operations": ..., "seconds": ..., "results": [...]}`."""
    prepare(spec["bare"])
    scratch = Path(spec["scratch"])
    whole, start = scratch / "whole", time.monotonic()
    first = command(["run", spec["config"], *spec["options"], "--out", str(whole)], whole, None, spec["processes"])
    if first.code:
        raise RuntimeError(f"the whole run ended with {first.code}: {first.err}")
    seconds, results = time.monotonic() - start, []
    for number, crashes in enumerate(spec["trials"] or every(first.operations, spec["signals"])):
        folder = scratch / f"trial-{number}"
        moments = [Crash(*crash) for crash in crashes]
        scaled = [
            each._replace(seconds=each.seconds and each.seconds * seconds, operation=_within(each, first))
            for each in moments
        ]
        arguments = (spec["config"], spec["options"], whole, folder, scaled, spec["processes"])
        results.append({"crashes": [list(each) for each in scaled], **trial(*arguments)._asdict()})
        if not any(results[-1][key] for key in ("lost", "unequal", "leftovers", "tracebacks", "hangs")):
            shutil.rmtree(folder, ignore_errors=True)
    return {"operations": first.operations, "seconds": seconds, "results": results}


def _within(crash: Crash, whole: End) -> int | None:
    """A crash's operation among those that there are; a number above them stands for its remainder."""
    return crash.operation and (crash.operation - 1) % max(1, whole.operations) + 1


def every(operations: int, signals: Sequence[int]) -> list[list[Crash]]:
    """A trial for each operation and signal."""
    return [[Crash(number, each)] for number in signals for each in range(1, operations + 1)]


def prepare(bare: bool) -> None:
    """Import all that runs need, before the forks; `bare`: nothing is drawn, and no plugin listens."""
    from genkit.cli import application
    from genkit.pictures import plots
    from genkit.registry.hooks import RUN_HOOKS
    from genkit.registry.provenance import code_hash
    from genkit.registry.registry import installed, registry

    application()
    installed()
    code_hash("genkit-torch")  # of the code that is imported, even if somebody edits it meanwhile
    for module in ("genkit.cli.progress", "genkit.runs.running"):
        importlib.import_module(module)
    if bare:
        plots.draw_all = lambda *_: []  # type: ignore[assignment]
        for name in RUN_HOOKS:
            getattr(registry().manager.hook, name)._hookimpls = []
    gc.freeze()


if __name__ == "__main__":
    print(json.dumps(perform(json.loads(Path(sys.argv[1]).read_text()))))
