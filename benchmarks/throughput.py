"""Training throughput of the example configs, eager and compiled.

`python -m benchmarks.throughput [CONFIG ...] [--json FILE]` times the step that `genkit run` takes, batches included,
in rounds that alternate between the variants; it gives the median rate of each, and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from genkit.data import Dataset
from genkit.errors import DataError
from genkit.runs import as_config, own_random_state, prepare
from genkit.training import Trainer, choose_device, seed_everything

EXAMPLES = Path(__file__).parents[1] / "examples"
VARIANTS = ("eager", "compiled")


@dataclass(frozen=True)
class Result:
    """What one config came to."""

    config: str
    batch_size: int
    device: str
    eager: float
    """Training examples per second, the median over the rounds."""
    compiled: float
    ratio: float
    """compiled / eager, the median of the rounds' own ratios."""
    compile_seconds: float
    """From the first call of the compiled step to the end of its first steps, less what they take once compiled."""
    break_even_steps: float | None
    """Steps after which compiling has paid for itself; None where it does not."""


def measure(config: Path, overrides: list[str], rounds: int, seconds: float) -> Result:
    """Time one config; raises DataError where its data are not there."""
    steppers = {name: _stepper(config, overrides, name == "compiled") for name in VARIANTS}
    warm = {name: _timed(step, 5) for name, (step, _) in steppers.items()}
    step, batch = steppers["eager"]
    count = max(5, round(seconds / (_timed(step, 5) / 5)))
    times = [{name: _timed(step, count) / count for name, (step, _) in steppers.items()} for _ in range(rounds)]
    median = {name: statistics.median(row[name] for row in times) for name in VARIANTS}
    saved = median["eager"] - median["compiled"]
    compile_seconds = max(0.0, warm["compiled"] - 5 * median["compiled"])
    return Result(
        config=config.stem,
        batch_size=batch,
        device=str(choose_device("auto")),
        eager=batch / median["eager"],
        compiled=batch / median["compiled"],
        ratio=statistics.median(row["eager"] / row["compiled"] for row in times),
        compile_seconds=compile_seconds,
        break_even_steps=compile_seconds / saved if saved > 0 else None,
    )


def _stepper(path: Path, overrides: list[str], compiled: bool = False) -> tuple[Callable[[int], None], int]:
    """A function that takes so many training steps of a config, and the size of its batches."""
    config = as_config(path, overrides)
    device = choose_device(config.training.device)
    data, model = prepare(config)
    data, trainer = data.to(device), Trainer(model.to(device), config.training, compiled)
    n, size = len(data.train.x), config.training.batch_size
    weights = torch.tensor(list(trainer.weights_at(float(config.training.epochs)).values()), device=device)

    def steps(count: int) -> None:
        with own_random_state():
            seed_everything(0, 0)
            order = torch.randperm(n).to(device)[: max(size, n // size * size)]
            for x in islice(_endless(data, size, order), count):
                trainer.step(x, weights)
        if device.type == "cuda":
            torch.cuda.synchronize()

    model.train()
    return steps, min(size, n)


def _endless(data: Dataset, size: int, order: Tensor) -> Iterator[Tensor]:
    while True:
        yield from data.rows(data.train, size, order)


def _timed(step: Callable[[int], None], count: int) -> float:
    start = time.perf_counter()
    step(count)
    return time.perf_counter() - start


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("configs", nargs="*", type=Path, help="YAML configs; by default every example")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option for every config")
    parser.add_argument("--rounds", type=int, default=5, help="how often each variant is timed")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a round of a variant takes, about")
    parser.add_argument("--json", type=Path, help="write the results here too")
    arguments = parser.parse_args()
    console, results = Console(), []
    for config in arguments.configs or sorted(EXAMPLES.glob("*.yaml")):
        try:
            results.append(measure(config, arguments.set, arguments.rounds, arguments.seconds))
        except DataError as error:
            console.print(f"{config.stem} is left out: {error}", highlight=False)
    console.print(_table(results))
    if arguments.json is not None:
        machine = {"processor": _processor(), "threads": torch.get_num_threads(), "torch": torch.__version__}
        text = json.dumps({"machine": machine, "results": [asdict(result) for result in results]}, indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def _table(results: list[Result]) -> Table:
    table = Table("config", box=None, title="training examples per second")
    for column in ("batch", "eager", "compiled", "ratio", "compiling", "pays after"):
        table.add_column(column, justify="right")
    for result in results:
        pays = "never" if result.break_even_steps is None else f"{result.break_even_steps:,.0f} steps"
        rates = (f"{result.eager:,.0f}", f"{result.compiled:,.0f}", f"{result.ratio:.2f}")
        table.add_row(result.config, str(result.batch_size), *rates, f"{result.compile_seconds:.1f} s", pays)
    return table


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


if __name__ == "__main__":
    main()
