"""genkit's own contestant, which speaks the protocol of `benchmarks/peers/protocol.py`.

The variants are the step that a run takes, `eager` or `compiled`, and `floor`: the matrix products and convolutions of
one such step alone, each called as the step calls it, on the same shapes and layouts, with nothing in between.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.peers.protocol import serve
from genkit.data.dataset import Dataset
from genkit.runs.opening import as_config, prepare
from genkit.speed.crowding import waiting_by_load
from genkit.training.devices import choose_device
from genkit.training.epochs import fit
from genkit.training.seeds import own_random_state, seed_everything
from genkit.training.trainer import Trainer

PRODUCTS = (
    "aten::mm",
    "aten::addmm",
    "aten::bmm",
    "aten::convolution",
    "aten::convolution_backward",
    "genkit::product",
)
VARIANTS = ("eager", "compiled", "floor")


class Contestant:
    """One config, trained in one way.

    Args:
        config: the path of a YAML file.
        overrides: the assignments, as `genkit run` takes them.
        variant: the kind of step, one of VARIANTS.
    """

    def __init__(self, config: Path, overrides: list[str], variant: str) -> None:
        self.variant, self.config = variant, as_config(config, overrides)
        self.device = choose_device(self.config.training.device)
        self.fresh()
        if variant == "floor":
            self.products = self.recorded()

    def fresh(self) -> None:
        """Make a model that has not been trained."""
        data, model = prepare(self.config)
        self.data: Dataset = data.to(self.device)
        self.model = model.to(self.device)
        self.trainer = Trainer(self.model, self.config.training, self.variant == "compiled")
        row = self.trainer.weights_at(float(self.config.training.epochs_over(len(self.data.train.x))))
        self.weights = torch.tensor(list(row.values()), device=self.device)

    def batches(self) -> Iterator[Tensor]:
        """Whole batches without end, in a new order for each epoch."""
        n, size = len(self.data.train.x), self.config.training.batch_size
        while True:
            order = torch.randperm(n).to(self.device)[: max(size, n // size * size)]
            yield from (batch.x for batch in self.data.batches(self.data.train, size, order))

    def steps(self, count: int) -> float:
        """Take training steps and give the loss of the last; or repeat the products of as many, and give 0."""
        if self.variant == "floor":
            for _ in range(count):
                for product in self.products:
                    product()
            return 0.0
        self.model.train()
        with own_random_state():
            seed_everything(0, 0)
            for x in islice(self.batches(), count):
                figures = self.trainer.step(x, self.weights)
        return float(figures[f"term/{next(iter(self.model.losses))}"])

    def recorded(self) -> list[Callable[[], Any]]:
        """The products of one step, as functions that repeat them."""
        calls: list[Callable[[], Any]] = []

        class Recorder(TorchDispatchMode):
            def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                if op._schema.name in PRODUCTS:
                    calls.append(_replayed(op, args))
                return op(*args, **(kwargs or {}))

        self.model.train()
        with own_random_state(), Recorder():  # type: ignore[no-untyped-call]
            self.trainer.step(next(self.batches()), self.weights)
        return calls

    def fit(self, epochs: int) -> float:
        """Train a fresh model as a run does; gives its test loss in nats per datum."""
        self.fresh()
        self.trainer.config = self.config.training.model_copy(update={"epochs": epochs})
        with own_random_state():
            for _ in fit(self.trainer, self.data, self.config.seed):
                pass
            assert self.data.test is not None
            scores = self.trainer.evaluate(self.data, self.data.test, self.trainer.weights_at(float(epochs)))
        return scores.loss

    def sample(self, count: int) -> None:
        """Draw data from the model."""
        self.model.sample(count)

    def encode(self, count: int) -> None:
        """Encode test data."""
        assert self.data.test is not None
        self.model.encode(self.data.test.x[:count])


def _replayed(op: Any, args: tuple[Any, ...]) -> Callable[[], Any]:
    """A function that repeats a call on random values, without a bias."""
    own = [torch.randn_like(arg) if isinstance(arg, Tensor) else arg for arg in args]
    if op._schema.name == "aten::addmm":
        left, right = own[1:3]
        out = torch.empty(left.shape[0], right.shape[1], device=left.device)
        return lambda: torch.mm(left, right, out=out)
    return lambda: op(*own)


def main() -> None:
    """Serve one contestant."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--variant", choices=VARIANTS, default="eager")
    arguments = parser.parse_args()
    contestant = Contestant(arguments.config, arguments.overrides, arguments.variant)
    with waiting_by_load(contestant.device):
        serve(contestant)


if __name__ == "__main__":
    main()
