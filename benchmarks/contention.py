"""Training beside other work: alone, beside busy processes, and several of the same training at once.

`python -m benchmarks.contention [CONFIG]` lets the ways in which threads may wait for each other take turns within each
round. The share is the rate beside other work, over the fair part of the rate alone: a program among three on a machine
has a third of it. `--flax` adds flax's `lax.scan` (`python -m benchmarks.peers` makes its environment).
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import show, write
from benchmarks.peers import PEERS
from benchmarks.turns import ROOT, Contestant, Times, contest, genkit
from genkit.speed.waiting import TURNS, VARIABLE

BUSY, AT_ONCE = 2, 4
WARM = 50
SECONDS = 2.0
"""The time in which the threads of contestants notice what other work there is."""
WAYS = {
    "genkit": {VARIABLE: str(TURNS)},
    "threads as torch leaves them": {VARIABLE: "300000"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
"""The ways of waiting, by their environment variables; the first is that of the command line."""
COLUMNS = ["how threads wait", "step", "batch", "ms alone", "ms beside 2", "its share", "ms, 4 at once", "its share"]


@contextmanager
def load(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are stopped, and are busy once they are continued."""
    with ExitStack() as stack:
        processes = []
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
            process.send_signal(signal.SIGSTOP)
            processes.append(process)
        yield processes


def turn(team: Sequence[Contestant], busy: Sequence[subprocess.Popen[bytes]], count: int) -> dict[str, float]:
    """The seconds per step of one contestant alone, beside busy processes, and of all of a team at once."""

    def settled(contestant: Contestant) -> float:
        """The seconds of the steps, after others in which threads notice what other work there is."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            contestant.ask("steps", max(1, count // 16))
        return contestant.ask("steps", count).seconds

    alone = settled(team[0])
    for process in busy:
        process.send_signal(signal.SIGCONT)
    beside = settled(team[0])
    for process in busy:
        process.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(len(team)) as pool:
        answers = list(pool.map(settled, team))
    return {"alone": alone / count, "beside": beside / count, "at once": sum(answers) / len(answers) / count}


def measured(commands: Mapping[str, Sequence[str]], rounds: int, count: int) -> dict[str, dict[str, float]]:
    """The figures of each way: medians of seconds per step, and shares.

    Args:
        commands: the command that starts each contestant, by its name.
        rounds: the number of turns of each.
        count: the number of steps in a turn.
    """
    copies = {f"{name} {n}": command for name, command in commands.items() for n in range(AT_ONCE)}
    with contest(copies) as all_of_them, load(BUSY) as busy:
        teams = {name: [all_of_them[f"{name} {n}"] for n in range(AT_ONCE)] for name in commands}
        for contestant in all_of_them.values():
            contestant.ask("steps", WARM)
        turns = [{name: turn(team, busy, count) for name, team in teams.items()} for _ in range(rounds)]
    return {name: _figures([each[name] for each in turns]) for name in commands}


def _figures(rows: list[dict[str, float]]) -> dict[str, float]:
    times = Times(rows)
    figures = {f"{name}_seconds": times.median(name) for name in ("alone", "beside", "at once")}
    figures["beside_share"] = times.ratio("beside", "alone") * (1 + BUSY)
    figures["at once_share"] = times.ratio("at once", "alone") * AT_ONCE
    return figures


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contention", description=__doc__)
    parser.add_argument("config", nargs="?", type=Path, default=ROOT / "examples" / "vae-dense.yaml")
    parser.add_argument("--batch", type=int, action="append", metavar="N")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--spin", type=int, action="append", default=[], metavar="N", help="other counts of turns")
    parser.add_argument("--way", action="append", choices=WAYS, help="one of the ways of waiting; default: all of them")
    parser.add_argument("--flax", action="store_true")
    parser.add_argument("--out", type=Path, metavar="STEM", help="write STEM.json and STEM.md")
    arguments = parser.parse_args()
    ways = {name: WAYS[name] for name in arguments.way or WAYS}
    ways |= {f"{count:,} turns": {VARIABLE: str(count)} for count in arguments.spin}
    results: dict[str, Any] = {}
    rows = []
    for batch in arguments.batch or [100, 1024]:
        for variant in ("eager", "compiled"):
            config = genkit(arguments.config, [f"training.batch_size={batch}"], variant)
            commands = {name: ["env", *(f"{k}={v}" for k, v in way.items()), *config] for name, way in ways.items()}
            if arguments.flax and variant == "compiled":
                commands["flax"] = PEERS["flax scan"].command("dense", batch, Path(os.environ["GENKIT_MNIST"]))
            figures = measured(commands, arguments.rounds, max(20, arguments.steps * 100 // batch))
            results[f"{variant} {batch}"] = figures
            rows += [_row(name, variant, batch, each) for name, each in figures.items()]
    show(COLUMNS, rows)
    if arguments.out is not None:
        write(arguments.out, f"python -m benchmarks.contention {shlex.join(sys.argv[1:])}", results, COLUMNS, rows)


def _row(name: str, variant: str, batch: int, figures: Mapping[str, float]) -> list[str]:
    cells = [f"{1000 * figures['alone_seconds']:.2f}"]
    for load_name in ("beside", "at once"):
        cells += [f"{1000 * figures[f'{load_name}_seconds']:.2f}", f"{figures[f'{load_name}_share']:.2f}"]
    return [name, variant, str(batch), *cells]


if __name__ == "__main__":
    main()
