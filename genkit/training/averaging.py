"""The exponential moving average of the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn


@final
class AveragedWeights:
    """An exponential moving average of parameters over the steps of training, see `genkit.settings.training.Average`.

    Args:
        parameters: the parameters to average.
        decay: the factor of the average at each step.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = list(parameters), decay
        self.steps = 0
        """The number of steps averaged over."""
        self.means: list[Tensor] = []
        """The averages in the order of the parameters; empty before the first step."""

    @torch.no_grad()
    def add(self) -> None:
        """Take the parameters after a step into the average."""
        from torch.optim.swa_utils import get_ema_multi_avg_fn  # only those who average pay for its import

        self.steps += 1
        if not self.means:
            self.means = [parameter.detach().clone() for parameter in self.parameters]
            return
        share = (1 - self.decay) / (1 - self.decay**self.steps)
        get_ema_multi_avg_fn(1 - share)(self.means, self.parameters, None)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The parameters have the values of the averages inside the block."""
        own = [parameter.detach().clone() for parameter in self.parameters]
        self.settle()
        try:
            yield
        finally:
            _copy(own, self.parameters)

    def settle(self) -> None:
        """Give the parameters the values of the averages."""
        _copy(self.means, self.parameters)

    def state_dict(self) -> dict[str, Any]:
        """The number of steps, and the averages by the numbers of their parameters."""
        return {"steps": self.steps, **{f"mean/{index}": mean for index, mean in enumerate(self.means)}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`; raises ValueError where it is none of these parameters."""
        steps = state["steps"]
        if type(steps) is not int or steps < 0:
            raise ValueError(f"{steps!r} is no number of steps")
        means = [state[f"mean/{index}"] for index in range(len(self.parameters))] if steps else []
        for mean, parameter in zip(means, self.parameters, strict=False):
            if not isinstance(mean, Tensor) or (mean.shape, mean.dtype) != (parameter.shape, parameter.dtype):
                raise ValueError("an average has not the shape and type of its parameter")
        self.steps, self.means = steps, [torch.empty_like(each) for each in self.parameters] if steps else []
        _copy(means, self.means)


@torch.no_grad()
def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=False):
        target.copy_(source)
