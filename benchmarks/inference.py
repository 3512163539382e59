"""Sampling and encoding: data per second of genkit and of other frameworks, on the same models.

`python -m benchmarks.inference` draws from the dense and the convolutional model and encodes MNIST's test images, in
batches, with untrained weights; `python -m benchmarks.peers` makes the environments. The contestants take turns;
figures are medians over the rounds, and ratios are medians of each round's ratio.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import show, write
from benchmarks.peers import PEERS
from benchmarks.throughput import MODELS
from benchmarks.turns import contest, genkit, interleaved

COUNTS = {"dense": 10_000, "conv": 2_000}
NAMES = ["pythae", "torch eager", "keras tensorflow", "flax step"]
COLUMNS = ["what", "samples/s", "genkit / this", "encoded/s", "genkit / this"]


def measure(model: str, names: list[str], data: Path, rounds: int) -> dict[str, dict[str, float]]:
    """The rates of each contestant, by name; genkit's own is `genkit`."""
    own = genkit(MODELS[model], [f"data={{name: mnist, root: {data}, validation: 0}}"], "eager")
    commands = {"genkit": own, **{name: PEERS[name].command(model, 100, data) for name in names}}
    rates: dict[str, dict[str, float]] = {name: {} for name in commands}
    with contest(commands) as contestants:
        for order in ("sample", "encode"):
            counts = dict.fromkeys(commands, COUNTS[model])
            interleaved(contestants, order, counts, 2)  # contestants that compile do so here
            times = interleaved(contestants, order, counts, rounds)
            for name, figures in rates.items():
                figures[order] = 1 / times.median(name)
                figures[f"genkit_over_this_{order}"] = times.ratio("genkit", name)
    return rates


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peers", nargs="*", default=NAMES, choices=PEERS, metavar="PEER")
    parser.add_argument("--out", type=Path, metavar="STEM", help="write STEM.json and STEM.md")
    arguments = parser.parse_args()
    if not os.environ.get("GENKIT_MNIST"):
        parser.error("put the folder of the four IDX files of MNIST into GENKIT_MNIST")
    results: dict[str, Any] = {}
    rows = []
    for model in MODELS:
        data = Path(os.environ["GENKIT_MNIST"])
        results[model] = rates = measure(model, arguments.peers, data, arguments.rounds)
        for name, figures in rates.items():
            title = PEERS[name].title if name in PEERS else "**genkit**"
            shown = [f"{figures['sample']:,.0f}", f"{figures['genkit_over_this_sample']:.2f}"]
            shown += [f"{figures['encode']:,.0f}", f"{figures['genkit_over_this_encode']:.2f}"]
            rows.append([f"{title}, {model}", *shown])
    show(COLUMNS, rows)
    if arguments.out is not None:
        write(arguments.out, f"python -m benchmarks.inference {shlex.join(sys.argv[1:])}", results, COLUMNS, rows)


if __name__ == "__main__":
    main()
