"""How the cost of training grows: with the number of data, their size, the latent space, the batch, the processes.

`python -m benchmarks.scaling` trains the dense VAE on random images. Each quantity grows in steps. The exponent is the
slope of log cost over log quantity between the last two steps, where constant costs weigh least; 1 is linear. All steps
of a quantity take turns, and ratios are medians of each round's ratio. Memory is that of the process beyond the
libraries. Then two processes with one thread each are compared with one process with one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import show, write
from benchmarks.turns import ROOT, contest, genkit, interleaved

CONFIG = ROOT / "examples" / "vae-dense.yaml"
N, SIDE, LATENT, BATCH = 10_000, 28, 2, 100
AXES = {
    "data": [10_000, 20_000, 40_000, 80_000],
    "pixels": [16**2, 32**2, 64**2, 128**2],
    "latent": [2, 32, 512, 1024],
    "batch": [100, 400, 1600, 6400],
}
COLUMNS = ["quantity", "from", "to", "exponent of time", "exponent of memory", "peak MiB at the end"]


def measured(axis: str, values: Sequence[int], rounds: int, folder: Path) -> list[dict[str, float]]:
    """The cost of each value; all values take turns, so that other work of the machine affects all alike.

    Returns:
        For each value the `seconds` per epoch (axis data) or per step (other axes), their ratio to those of the value
        before (`growth`), and the peak memory of the process (`bytes`).
    """
    commands = {str(value): genkit(CONFIG, _overrides(axis, value, folder), "eager") for value in values}
    steps = {str(value): _steps(axis, value) for value in values}
    with contest(commands) as contestants:
        for each in contestants.values():
            each.ask("steps", 5)
        times = interleaved(contestants, "steps", steps, rounds)
        peaks = {name: each.ask("memory").value for name, each in contestants.items()}
    in_figure = {name: count if axis == "data" else 1 for name, count in steps.items()}
    points: list[dict[str, float]] = []
    for before, value in zip((values[0], *values), values, strict=False):
        now, then, peak = str(value), str(before), peaks[str(value)]
        assert peak is not None
        growth = times.ratio(then, now) * in_figure[now] / in_figure[then]
        points.append({"value": value, "seconds": times.median(now) * in_figure[now], "growth": growth, "bytes": peak})
    return points


def _overrides(axis: str, value: int, folder: Path) -> list[str]:
    count, side = (value if axis == "data" else N), (math.isqrt(value) if axis == "pixels" else SIDE)
    path = folder / f"{count}-{side}.npy"
    if not path.is_file():
        np.save(path, np.random.default_rng(0).integers(0, 256, (count, 1, side, side), np.uint8))
    return [
        f"data={{name: arrays, path: {path}, validation: 0, test: 0}}",
        f"sampler.latent={value if axis == 'latent' else LATENT}",
        f"training.batch_size={value if axis == 'batch' else BATCH}",
    ]


def _steps(axis: str, value: int) -> int:
    """The number of steps per turn."""
    if axis == "data":
        return value // BATCH
    return max(5, 20_000 // value) if axis == "batch" else 100


def exponents(points: list[dict[str, float]]) -> dict[str, float]:
    """The slopes of time and of memory between the last two points."""
    before, last = points[-2:]
    grown = {"seconds": last["growth"], "bytes": last["bytes"] / before["bytes"]}
    return {key: math.log(ratio) / math.log(last["value"] / before["value"]) for key, ratio in grown.items()}


def efficiency(rounds: int) -> dict[str, float]:
    """Examples per second of one and of two processes with one thread each, on MNIST-sized data and large batches."""
    rates: dict[str, list[float]] = {"one": [], "two": []}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "x.npy"
        np.save(data, np.random.default_rng(0).integers(0, 256, (20_000, 1, SIDE, SIDE), np.uint8))
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        for number in range(rounds):
            for name, start in (("one", []), ("two", launcher)):
                out = Path(folder) / f"{name}{number}"
                options = [f"data={{name: arrays, path: {data}, validation: 0, test: 0}}", "training.epochs=4"]
                more = ["training.batch_size=1000", "training.compile=false", "--out", str(out)]
                command = [sys.executable, *start, "-m", "genkit", "run", str(CONFIG), *options, *more]
                subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)
                lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
                rates[name].append(statistics.median(json.loads(line)["examples_per_second"] for line in lines[1:]))
    one, two = (statistics.median(values) for values in rates.values())
    ratio = statistics.median(b / a for a, b in zip(rates["one"], rates["two"], strict=True))
    return {"one": one, "two": two, "efficiency": ratio / 2}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, metavar="STEM", help="write STEM.json and STEM.md")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        libraries = measured("pixels", [1], 1, Path(folder))[0]["bytes"]  # the memory of the libraries
        for axis, values in AXES.items():
            points = measured(axis, values, arguments.rounds, Path(folder))
            for point in points:
                point["bytes"] -= libraries
            slopes = exponents(points)
            results[axis] = {"points": points, "exponents": slopes}
            peak = f"{(points[-1]['bytes'] + libraries) / 2**20:,.0f}"
            rows.append([axis, f"{values[0]:,}", f"{values[-1]:,}", *(f"{e:.2f}" for e in slopes.values()), peak])
    results["processes"] = efficiency(arguments.rounds)
    percent = f"{results['processes']['efficiency']:.0%} as fast each"
    rows.append(["processes of one thread", "1", "2", percent, "", ""])
    show(COLUMNS, rows)
    if arguments.out is not None:
        write(arguments.out, f"python -m benchmarks.scaling {shlex.join(sys.argv[1:])}", results, COLUMNS, rows)


if __name__ == "__main__":
    main()
