"""A part of a model: a component with parameters or computations of its own."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from genkit.interfaces.component import Component, Schema, Shape


class Whole(Protocol):
    """The model as its parts see it once all of them are built."""

    encoder: Any
    """The encoder; None: the model has none."""
    sampler: Any
    decoder: Any
    likelihood: Any
    prior: Any
    """The config's prior; None: the sampler has its own, or there is none."""
    losses: Any
    """The loss terms by name."""
    shape: Shape
    """The shape of one datum."""
    schema: Schema
    """The shape of a datum, the side data, and the number of training data."""
    condition_size: int
    """The width C of `Forward.condition`; 0: the model has no condition."""

    def posterior(self, x: Tensor, draws: int, side: Mapping[str, Tensor]) -> Any:
        """The `Latent` of data x (B, *shape) with their side data."""

    def draw(self, n: int) -> Tensor:
        """Draws from the prior p(z), the config's or the sampler's own: (n, *latent_shape)."""


class Part(Component, nn.Module, ABC):
    """A component that is part of a model. It may have `attach` and `stepped` besides its passes."""


@runtime_checkable
class Attached(Protocol):
    """A part that gets to know the whole model."""

    def attach(self, model: Whole) -> None:
        """Called once all parts are built, before any pass.

        A part that keeps another part keeps a function of it (`self.posterior = model.posterior`): a module in an
        attribute would become a layer of this part.
        """


@runtime_checkable
class Follower(Protocol):
    """A part that follows training."""

    def stepped(self, step: int, epoch: float) -> None:
        """Called after each step, without gradients.

        What changes belongs into a buffer (`self.temperature.fill_(...)`): compiled steps read it, and a resumed run
        has it again.

        Args:
            step: the number of steps done.
            epoch: the epochs done, as a fraction too, as `value_at(schedule, epoch)` takes it.
        """
