"""The protocol of contestants: an order per line on standard input, and an answer per line of JSON.

`steps N` takes N training steps; `fit N` trains a fresh model N epochs and gives its test loss, -ELBO in nats per datum
by one draw; `sample N` and `encode N` draw and encode N data; `memory` gives the peak memory of the process in bytes.
Every answer holds the seconds that the order took. Contestants import nothing of genkit, and this module only
numpy.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

TRAIN, TEST = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"


class Contestant(Protocol):
    """The methods of a contestant."""

    def steps(self, count: int) -> float:
        """Take training steps; the loss of the last."""

    def fit(self, epochs: int) -> float:
        """Train a fresh model on all training data; the test loss."""

    def sample(self, count: int) -> None:
        """Draw data from the model."""

    def encode(self, count: int) -> None:
        """Compute the latent means of test data."""


def arguments(variants: list[str]) -> argparse.Namespace:
    """The options that every contestant takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--variant", choices=variants, default=variants[0])
    parser.add_argument("--model", default="dense")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the IDX files")
    return parser.parse_args()


def images(folder: Path, name: str) -> Any:
    """Images of MNIST, (N, 784) bytes."""
    packed = folder / f"{name}.gz"
    content = gzip.decompress(packed.read_bytes()) if packed.is_file() else (folder / name).read_bytes()
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 784)


def peak() -> int:
    """The peak of this process's own memory in bytes: getrusage may give that of the process that started it."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


def serve(contestant: Contestant) -> None:
    """Answer until the input ends."""
    orders: dict[str, Callable[[int], Any]] = {
        name: getattr(contestant, name)
        for name in ("steps", "fit", "sample", "encode", "floor")
        if hasattr(contestant, name)
    }
    orders["memory"] = lambda _: peak()
    answers, sys.stdout = sys.stdout, sys.stderr  # text that libraries print is no answer
    for line in sys.stdin:
        name, count = line.split()
        start = time.perf_counter()
        value = orders[name](int(count))
        answer = {"seconds": time.perf_counter() - start, "value": value}
        print(json.dumps(answer), file=answers, flush=True)
