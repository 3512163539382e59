"""What adding up the gradients of two processes costs, at once after the backward pass or overlapped with it.

`torchrun --nproc-per-node 2 -m benchmarks.communication`, or one process on each of two nodes. Each row is a dense
network of so many parameters with its own step; the ways take turns, and the medians are compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from genkit.files.markdown import table
from genkit.parallel import group
from genkit.parallel.overlap import Overlap

WIDTHS, BATCH, ROUNDS = (256, 1024, 2048, 4096), 64, 15
LAYERS = 4
HEADS = ("parameters", "passes alone, ms", "then one sum, ms", "overlapped, ms", "by DDP, ms")


def network(width: int) -> nn.Module:
    """Dense layers of a width, with the same weights in every process."""
    torch.manual_seed(0)
    layers = [layer for _ in range(LAYERS) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*layers)


def seconds(step: Callable[[], None]) -> float:
    """The time of a step that all processes begin together."""
    group.wait()
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def row(width: int) -> tuple[str, ...]:
    """The times of a width: the passes alone, the sum after them, and sums beside them, by genkit and DDP's reducer."""
    alone, summed, reduced = network(width), network(width), DistributedDataParallel(network(width))
    parameters = {"model": list(summed.parameters())}
    x = torch.randn(BATCH, width)

    def passes(model: nn.Module) -> None:
        model.zero_grad()
        model(x).square().mean().backward()

    def added() -> None:
        passes(summed)
        group.add_up(parameter.grad for parameter in summed.parameters())

    overlap = Overlap(parameters)

    def overlapped() -> None:
        with overlap:
            gradients = torch.autograd.grad(summed(x).square().mean(), parameters["model"])
        overlap.added_up({"model": gradients})

    ways: tuple[Callable[[], None], ...] = (lambda: passes(alone), added, overlapped, lambda: passes(reduced))
    times: list[list[float]] = [[] for _ in ways]
    for number in range(ROUNDS + 3):
        for way, own in zip(ways, times, strict=True):
            taken = seconds(way)
            if number >= 3:
                own.append(taken)
    count = sum(parameter.numel() for parameter in alone.parameters())
    return f"{count / 1e6:.1f} M", *(f"{statistics.median(own) * 1e3:.1f}" for own in times)


def sent(count: int) -> float:
    """The rate, in GB/s, at which so many float32 are added up over the processes."""
    values: Tensor = torch.zeros(count)
    times = [seconds(lambda: group.add_up([values])) for _ in range(ROUNDS)]
    return 4 * count / statistics.median(times) / 1e9


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    with group.joined(torch.device("cpu")):
        rows = [row(width) for width in WIDTHS]
        rate = sent(16_000_000)
        if group.is_leader():
            print(table(HEADS, rows))
            print(f"\nadding up: {rate:.2f} GB/s of gradients")


if __name__ == "__main__":
    main()
