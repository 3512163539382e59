"""Time from the start of the process: to the first training step, and to the end of a run of three epochs.

`python -m benchmarks.startup` runs genkit on MNIST (its folder in GENKIT_MNIST) with the dense model. The first step is
compared with a process that imports torch and reads the same files. The whole run, with weights, pictures and event
files, is compared with the bare training of the other frameworks; `python -m benchmarks.peers` makes their
environments.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.machine import show, write
from benchmarks.peers import PEERS
from benchmarks.turns import ROOT, contest

CONFIG = ROOT / "examples" / "vae-dense.yaml"
DATA = "data={name: mnist, validation: 0}"
EPOCHS = 3
FIRST_STEP = """
import os, sys
import genkit.cli, genkit.training.trainer
genkit.training.trainer.Trainer.step = lambda *_: os._exit(0)
genkit.cli.main()
"""
BARE = """
import gzip, os, pathlib
import numpy, torch
for path in sorted(pathlib.Path(os.environ["GENKIT_MNIST"]).glob("*ubyte*")):
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    torch.from_numpy(numpy.frombuffer(content, numpy.uint8).copy())
"""


def timed(command: Sequence[str]) -> float:
    """The seconds of a process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - start


def run(program: Sequence[str], *overrides: str) -> float:
    """The seconds of a run in a new directory."""
    with tempfile.TemporaryDirectory() as folder:
        out = ["--out", str(Path(folder) / "run")]
        return timed([sys.executable, *program, "run", str(CONFIG), DATA, *overrides, *out])


def trained(name: str) -> float:
    """The seconds from the start of a peer to the end of its bare training."""
    start = time.perf_counter()
    with contest({name: PEERS[name].command("dense", 100, Path(os.environ["GENKIT_MNIST"]))}) as contestants:
        contestants[name].ask("fit", EPOCHS)
        return time.perf_counter() - start


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="*", default=[], choices=PEERS, metavar="PEER", help="such as 'flax scan'")
    parser.add_argument("--out", type=Path, metavar="STEM", help="write STEM.json and STEM.md")
    arguments = parser.parse_args()
    if not os.environ.get("GENKIT_MNIST"):
        parser.error("put the folder of the four IDX files of MNIST into GENKIT_MNIST")
    whole: dict[str, Callable[[], float]] = {
        "import torch, read the data": lambda: timed([sys.executable, "-c", BARE]),
        "genkit run, to the first step": lambda: run(["-c", FIRST_STEP]),
        "genkit run, 3 epochs, to the end": lambda: run(["-m", "genkit"], f"training.epochs={EPOCHS}"),
    }
    whole |= {f"{PEERS[n].title}, 3 epochs, training alone": lambda n=n: trained(n) for n in arguments.peers}  # type: ignore[misc]
    rounds = [{name: measured() for name, measured in whole.items()} for _ in range(arguments.rounds)]
    names = list(whole)
    rows = []
    for name in names:
        against = names[0] if name in names[:2] else names[2]
        ratio = statistics.median(row[name] / row[against] for row in rounds)
        rows.append([name, f"{statistics.median(row[name] for row in rounds):.2f}", f"{ratio:.2f} × {against}"])
    columns = ["from the start of the process", "seconds", "ratio"]
    show(columns, rows)
    if arguments.out is not None:
        write(arguments.out, f"python -m benchmarks.startup {shlex.join(sys.argv[1:])}", rounds, columns, rows)


if __name__ == "__main__":
    main()
