"""Commands in processes of their own that do not import torch anew, which takes longer than most of them run.

`Processes` starts one Python that imports the large libraries, and nothing of genkit or its plugins; each command is a
fork of it, with its own environment, folder, output and exit code. This file is that Python's script too.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

LIBRARIES = (
    "torch",
    "torch._dynamo",
    "torch._inductor.compile_fx",
    "numpy",
    "PIL.Image",
    "matplotlib.figure",
    "sklearn.neighbors",
    "torch.utils.tensorboard",
)
LIBRARIES += ("pluggy", "pydantic", "rich.console", "ruamel.yaml", "safetensors.torch", "typer")
FORKS = sys.platform == "linux"
"""Elsewhere libraries start threads that do not survive a fork, or there is none."""

Done = subprocess.CompletedProcess[str]


class Processes:
    """Runs `genkit ...` and `python ...`, the commands of this environment.

    Where processes do not fork, each command is started in the usual way.
    """

    def __init__(self) -> None:
        self.server: subprocess.Popen[str] | None = None

    def __call__(self, *words: object, env: Mapping[str, str], cwd: Path | None = None) -> Done:
        """Run a command to its end; gives its exit code and what it printed."""
        (done,) = self.together([words], [env], cwd)
        return done

    def together(
        self, commands: Sequence[Sequence[object]], envs: Sequence[Mapping[str, str]], cwd: Path | None = None
    ) -> list[Done]:
        """Run commands side by side, each to its end."""
        with ExitStack() as stack:
            requests, outputs = [], []
            for command, env in zip(commands, envs, strict=True):
                out, err = (stack.enter_context(tempfile.NamedTemporaryFile("r", encoding="utf-8")) for _ in "12")
                outputs.append((out, err))
                request = {"words": [str(word) for word in command], "env": dict(env), "cwd": str(cwd or Path.cwd())}
                requests.append({**request, "out": out.name, "err": err.name})
            codes = self._ask(requests) if FORKS else [_started(request) for request in requests]
            return [
                subprocess.CompletedProcess(request["words"], code, out.read(), err.read())
                for request, code, (out, err) in zip(requests, codes, outputs, strict=True)
            ]

    def _ask(self, requests: list[dict[str, Any]]) -> list[int]:
        if self.server is None:
            clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GENKIT"))}
            self.server = subprocess.Popen(
                [sys.executable, "-P", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**clean, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
            )
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        print(json.dumps(requests), file=self.server.stdin, flush=True)
        answer = self.server.stdout.readline()
        if not answer:
            code, self.server = self.server.wait(), None
            raise RuntimeError(f"the Python that forks ended with {code} under {[each['words'] for each in requests]}")
        codes: list[int] = json.loads(answer)
        return codes

    def close(self) -> None:
        """End the Python that forks."""
        if self.server is not None:
            self.server.communicate()


def _started(request: dict[str, Any]) -> int:
    with Path(request["out"]).open("w") as out, Path(request["err"]).open("w") as err:
        place = {"env": request["env"], "cwd": request["cwd"]}
        return subprocess.run(request["words"], stdout=out, stderr=err, **place).returncode


def next_request() -> dict[str, Any]:
    """Fork for each request that comes, and wait for its end; this returns in the forks alone."""
    for line in sys.stdin:
        children = []
        for request in json.loads(line):
            children.append(os.fork())
            if children[-1] == 0:
                return request  # type: ignore[no-any-return]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)
    raise SystemExit


def take_over(request: dict[str, Any]) -> None:
    """Be what a shell would start: the environment, the folder, the files, and the places where modules are found."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for number, (name, flags) in enumerate(
        [(os.devnull, os.O_RDONLY), (request["out"], os.O_WRONLY), (request["err"], os.O_WRONLY)]
    ):
        opened = os.open(name, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the parent's is at its request
    places = [place for place in request["env"].get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.path[:0] = [request["cwd"], *places] if request["words"][0] == "python" else places
    importlib.invalidate_caches()


def run(words: list[str]) -> NoReturn:
    """Run `genkit ...` by its entry point, or `python [-W action] -c code | -m module | script ...`."""
    program, *rest = words
    if program != "python":
        (entry,) = {each.value: each for each in metadata.entry_points(group="console_scripts", name=program)}.values()
        sys.argv = words
        raise SystemExit(entry.load()())
    if rest[0] == "-W":
        warnings.simplefilter(rest[1])  # type: ignore[arg-type]
        rest = rest[2:]
    option, sys.argv = rest[0], rest[1:] if rest[0] in ("-c", "-m") else rest
    if option == "-c":
        exec(compile(rest[1], "<string>", "exec", dont_inherit=True), {"__name__": "__main__"})
    elif option == "-m":
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(option, run_name="__main__")
    raise SystemExit


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # else each fork searches all of them for garbage
    chosen = next_request()
    take_over(chosen)
    run(chosen["words"])
