"""Training throughput: genkit's own step, eager and compiled, beside the floor and, with `--peers`, other frameworks.

`python -m benchmarks.throughput [CONFIG ...]` gives for each config the training examples per second, the peak memory
of the process, the time that compiling takes, and the number of steps after which it pays. The step is that of
`genkit run`, with batches and loss values; the floor is the matrix products and convolutions of that step alone. The
contestants take turns in rounds; figures are medians, and ratios are medians of each round's ratio.

`--peers` trains the dense or the convolutional model on MNIST in the other frameworks too (`python -m
benchmarks.peers` makes their environments); `--fit` adds the test loss of each.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.machine import show, write
from benchmarks.peers import HAND, PEERS
from benchmarks.turns import Contestant, Times, contest, genkit, interleaved
from genkit.errors import DataError
from genkit.runs.opening import as_config, prepare

EXAMPLES = Path(__file__).parents[1] / "examples"
OWN = ("eager", "compiled", "floor")
MODELS = {"dense": EXAMPLES / "vae-dense.yaml", "conv": EXAMPLES / "vae-deconv.yaml"}
BY_HAND = {name: EXAMPLES / f"{name}.yaml" for name in ("vae-rnn", "gan", "sparse-autoencoder")}
PLAIN = {"gan": ["loss.adversarial.r1=0"]}
"""The options by which an example takes the steps of its loop by hand."""
OTHERS = {**PEERS, **HAND}
WARM = 10
COLUMNS = ["what", "model", "batch", "examples/s", "of the floor", "compiled / this", "peak MiB", "test loss"]


def measure(title: str, batch: int, commands: dict[str, Sequence[str]], rounds: int, seconds: float, fits: int) -> Any:
    """Let contestants take turns; those of genkit are `eager`, `compiled` and `floor`.

    Args:
        title: the name of the model.
        batch: the size of the batches.
        commands: the command that starts each contestant, by name.
        rounds: the number of turns of each contestant.
        seconds: about how long a turn takes.
        fits: the number of epochs after which test losses are compared; 0: they are not.
    """
    with contest(commands) as contestants:
        cold = {name: each.ask("steps", WARM).seconds for name, each in contestants.items()}
        counts = {name: _count(each, seconds) for name, each in contestants.items()}
        times = interleaved(contestants, "steps", counts, rounds)
        figures = {name: _figures(name, batch, times, each) for name, each in contestants.items()}
        if fits:
            for name in contestants.keys() - {"floor"}:
                figures[name]["test_loss"] = contestants[name].ask("fit", fits).value
    saved = times.median("eager") - times.median("compiled")
    compiling = max(0.0, cold["compiled"] - WARM * times.median("compiled"))
    return {
        "model": title,
        "batch": batch,
        "compile_seconds": compiling,
        "break_even_steps": compiling / saved if saved > 0 else None,
        "compiled_over_eager": times.ratio("compiled", "eager"),
        "contestants": figures,
    }


def _count(contestant: Contestant, seconds: float) -> int:
    """The number of steps that take about so many seconds; one turn goes ahead, in case its number has to compile."""
    count = max(1, round(seconds / (contestant.ask("steps", WARM).seconds / WARM)))
    count = count if count < 100 else round(count, -2)
    contestant.ask("steps", count)
    return count


def _figures(name: str, batch: int, times: Times, contestant: Contestant) -> dict[str, float | None]:
    return {
        "examples_per_second": batch / times.median(name),
        "of_the_floor": times.ratio(name, "floor"),
        "compiled_over_this": times.ratio("compiled", name),
        "peak_bytes": contestant.ask("memory").value,
    }


def rows(result: Any) -> list[list[str]]:
    """The rows of a result in the tables, the fastest first."""
    fastest_first = sorted(result["contestants"].items(), key=lambda item: -item[1]["examples_per_second"])
    lines = []
    for name, figures in fastest_first:
        title = "the floor" if name == "floor" else f"**genkit, {name}**"
        title = OTHERS[name].title if name in OTHERS else title
        loss = figures.get("test_loss")
        lines.append(
            [
                title,
                result["model"],
                str(result["batch"]),
                f"{figures['examples_per_second']:,.0f}",
                f"{figures['of_the_floor']:.2f}",
                f"{figures['compiled_over_this']:.2f}",
                f"{figures['peak_bytes'] / 2**20:,.0f}",
                "" if loss is None else f"{loss:.2f}",
            ]
        )
    return lines


def note(result: Any) -> str:
    """A sentence on what compiling costs and when it pays."""
    steps = result["break_even_steps"]
    pays = "never pays" if steps is None else f"pays after {steps:,.0f} steps"
    return f"{result['model']}, batch {result['batch']}: compiling takes {result['compile_seconds']:.1f} s and {pays}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("configs", nargs="*", type=Path, help="YAML configs; by default every example")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option for every config")
    parser.add_argument("--batch", type=int, action="append", help="batch sizes; by default that of the config")
    parser.add_argument("--rounds", type=int, default=5, help="the number of turns of each contestant")
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long a turn takes")
    parser.add_argument("--peers", choices=[*MODELS], help="one model in every framework, on MNIST")
    parser.add_argument("--by-hand", action="store_true", help="three examples beside loops written by hand, on MNIST")
    parser.add_argument("--without", nargs="*", default=[], choices=PEERS, help="peers to leave out")
    parser.add_argument("--fit", type=int, default=0, help="with --peers: compare test losses after so many epochs")
    parser.add_argument("--out", type=Path, metavar="STEM", help="write STEM.json, STEM.md and STEM.png")
    arguments = parser.parse_args()
    console, results = Console(), []
    configs = arguments.configs or sorted(EXAMPLES.glob("*.yaml"))
    if arguments.peers or arguments.by_hand:
        configs = [MODELS[arguments.peers]] if arguments.peers else list(BY_HAND.values())
    for config in configs:
        try:
            for batch in arguments.batch or [as_config(config, arguments.set).training.batch_size]:
                commands, size = _commands(config, batch, arguments)
                results.append(measure(config.stem, size, commands, arguments.rounds, arguments.seconds, arguments.fit))
                shown = [[row[0].replace("**", "").replace("`", ""), *row[1:]] for row in rows(results[-1])]
                show(COLUMNS, shown, f"{config.stem}, training")
                console.print(note(results[-1]), highlight=False)
        except DataError as error:
            console.print(f"{config.stem} is left out: {error}", highlight=False)
    if arguments.out is not None:
        command = f"python -m benchmarks.throughput {shlex.join(sys.argv[1:])}"
        write(arguments.out, command, results, COLUMNS, [row for result in results for row in rows(result)])
        _chart(arguments.out.with_suffix(".png"), results)


def _commands(config: Path, batch: int, arguments: argparse.Namespace) -> tuple[dict[str, Sequence[str]], int]:
    """The command of each contestant, and the size of its batches."""
    overrides = [*arguments.set, f"training.batch_size={batch}"]
    peers: dict[str, Sequence[str]] = {}
    if arguments.peers or arguments.by_hand:
        folder = os.environ.get("GENKIT_MNIST")
        if not folder:
            raise DataError("the other frameworks need MNIST: the folder of its four IDX files in GENKIT_MNIST")
        overrides += ["data={name: mnist, validation: 0}", *PLAIN.get(config.stem, [])]
        model, others = (arguments.peers, PEERS) if arguments.peers else (config.stem, HAND)
        kept = {name: peer for name, peer in others.items() if name not in arguments.without}
        peers = {name: peer.command(model, batch, Path(folder)) for name, peer in kept.items()}
    data, _ = prepare(as_config(config, overrides))
    return {**{name: genkit(config, overrides, name) for name in OWN}, **peers}, min(batch, len(data.train.x))


def _chart(path: Path, results: Any) -> None:
    """Bars of each model and batch size: each contestant's rate as a share of the floor, the fastest first."""
    from matplotlib.figure import Figure

    counts = [len(result["contestants"]) - 1 for result in results]
    figure = Figure(figsize=(8, 0.3 * sum(counts) + 0.55 * len(counts) + 0.3), layout="constrained")
    panels = figure.subplots(len(counts), sharex=True, squeeze=False, height_ratios=counts)[:, 0]
    for axes, result in zip(panels, results, strict=True):
        shares = {name: each["of_the_floor"] for name, each in result["contestants"].items() if name != "floor"}
        names = sorted(shares, key=shares.__getitem__)
        titles = [OTHERS[name].title.replace("`", "") if name in OTHERS else f"genkit, {name}" for name in names]
        colors = ["#bbbbbb" if name in OTHERS else "#1f77b4" for name in names]
        axes.barh(titles, [shares[name] for name in names], color=colors)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_title(f"{result['model']}, batch {result['batch']}", loc="left", fontsize=10)
    figure.supxlabel("training rate; 1 is the floor: the step's matrix products and convolutions alone", fontsize=10)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
