"""The process of a run: `genkit run` or `genkit resume`, then `genkit evaluate` on the validation data.

It ends, as by SIGTERM, when the process that started it does: that one holds the other end of its stdin.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from pathlib import Path

from genkit.files import strict_json
from genkit.record.directory import RunDirectory
from genkit_sweep.axes import Axis
from genkit_sweep.directory import Plan, Result, SweepDirectory
from genkit_sweep.figures import figures_of


def main() -> None:
    """Run, resume or evaluate the run that the command line names: SWEEP NUMBER METRIC KEY=VALUE..."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    path, number, metric, *assignments = sys.argv[1:]
    sweep = SweepDirectory(Path(path))
    plan, directory = sweep.read_plan(), sweep.run(int(number))
    _train(plan, directory, assignments)
    validation = _evaluated(directory, metric) if plan.has_validation else {}
    figures, units = figures_of(directory, validation)
    history = directory.history()
    keys = {axis.key for axis in map(Axis.of, plan.options) if axis.varies}
    options = dict(assignment.split("=", 1) for assignment in assignments)
    seconds = sum(record.seconds for record in history)
    varying = {key: value for key, value in options.items() if key in keys}
    sweep.record(Result(int(number), varying, "done", figures, units, len(history), seconds))


def _end_with_parent() -> None:
    """Stop this process when its stdin ends; the training writes a checkpoint first."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _train(plan: Plan, directory: RunDirectory, assignments: list[str]) -> None:
    if not directory.config.is_file():
        threads = [] if plan.threads is None else [f"training.threads={plan.threads}"]
        _command("run", plan.config, *assignments, *threads, "--out", str(directory.path))
    elif not directory.stages.is_finished:
        _command("resume", str(directory.path))


def _evaluated(directory: RunDirectory, metric: str) -> dict[str, object]:
    """The figures of the validation split."""
    asked = ["--metric", metric] if metric else []
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        _command("evaluate", str(directory.path), "--split", "validation", "--json", *asked)
    values: dict[str, object] = strict_json.loads(printed.getvalue())
    return values


def _command(*words: str) -> None:
    """Run a command of genkit in this process, as its console script does."""
    from genkit.cli import main as genkit

    sys.argv = ["genkit", *words]
    try:
        genkit()
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    main()
