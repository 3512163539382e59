"""The interfaces that plugins fill in. This file is all that the author of a component has to read.

A model is encoder -> sampler -> decoder, read as p(x|z) through a likelihood; training minimises the weighted sum of
a list of loss terms. Every figure is in nats per datum: summed over a datum, averaged over the batch only by the core.

Shapes: B data in a batch, K draws from the posterior, D latent dimensions; `shape`, `out_shape` and their like leave
the batch dimension out. Uniform random numbers, where a component needs some, are those of `genkit.processes.uniform`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from genkit.optimizers import Adam, Optimizer
from genkit.schedules import Schedule
from genkit.settings import Settings

if TYPE_CHECKING:
    from genkit.model import Model

Shape = tuple[int, ...]


def _share(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (0 <= value < 1 or (isinstance(value, int) and value >= 1)):
        return value
    raise PydanticCustomError("share", "must be a share from 0 to below 1, or a whole number of data")


Share = Annotated[
    Any,
    BeforeValidator(_share, json_schema_input_type=Annotated[float, Field(ge=0, lt=1)] | Annotated[int, Field(ge=1)]),
]
"""A config field: a part of the data, as a share below 1 or as a number of data."""


class Component:
    """Something that a config chooses by name. Its options are the fields of its nested `Config`."""

    kind: ClassVar[str]
    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Checks of `genkit.testing` that a component cannot pass, by their names, each with the reason."""

    class Config(Settings):
        """The component's options. A subclass gives `name: Literal["..."] = "..."` and describes each field."""

        name: str


class Encoder(Component, nn.Module, ABC):
    """x (B, *shape) -> features (B, *out_shape). It knows nothing of distributions.

    Args:
        config: the encoder's options.
        shape: the shape of one datum.
    """

    kind = "encoder"
    out_shape: Shape
    """The shape of one datum's features; set in `__init__`."""

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch: (B, *shape) -> (B, *out_shape)."""


class Latent(NamedTuple):
    """What a sampler makes of the features of B data."""

    z: Tensor
    """(K, B, *latent_shape): K draws from q(z|x), differentiable with respect to its parameters."""
    mean: Tensor
    """(B, *latent_shape): the point that stands for the datum, the same on every call; `encode` returns it."""
    kl: Tensor | None
    """(B, D): KL(q(z|x) || p(z)) in nats, a column a dimension where it factorizes, else (B, 1); None: it has none."""
    log_ratio: Tensor | None
    """(K, B): log q(z|x) - log p(z) at the draws, in nats; None where q has no density."""


class Sampler(Component, nn.Module, ABC):
    """features -> q(z|x), and the prior p(z) that it is measured against. It owns its heads (mean, log-variance, ...).

    Args:
        config: the sampler's options.
        features: the shape of one datum's features; None: there is no encoder, and only `prior` is used.
    """

    kind = "sampler"
    latent_shape: Shape
    """The shape of one draw; set in `__init__`."""
    bounds: tuple[float, float] = (float("-inf"), float("inf"))
    """The least and the greatest value that `Latent.mean` can take."""
    has_prior: ClassVar[bool] = True
    """Whether there is a p(z) to draw from; without one nothing can be generated."""

    def __init__(self, config: Component.Config, features: Shape | None) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Draw from q(z|x): features (B, *features) -> Latent with K = draws. No random number is drawn for 0 draws."""

    @abstractmethod
    def prior(self, n: int) -> Tensor:
        """Draw n times from p(z): (n, *latent_shape), on the device of the model."""


class Likelihood(Component, nn.Module, ABC):
    """p(x|z), read from what the decoder gives for z.

    Args:
        config: the likelihood's options.
        shape: the shape of one datum.
    """

    kind = "likelihood"
    params_shape: Shape
    """What the decoder has to give for one datum; set in `__init__`."""
    support: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    """The least and the greatest value of x that have a density; data outside are refused before training."""

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """Log p(x|z) in nats, summed over a datum: x (B, *shape), params (K, B, *params_shape) -> (K, B)."""

    @abstractmethod
    def mean(self, params: Tensor) -> Tensor:
        """The mean of p(x|z): (..., *params_shape) -> (..., *shape)."""

    @abstractmethod
    def sample(self, params: Tensor) -> Tensor:
        """A draw from p(x|z): (..., *params_shape) -> (..., *shape)."""


class Decoder(Component, nn.Module, ABC):
    """z (B, *latent_shape) -> the parameters of p(x|z), (B, *out_shape).

    Args:
        config: the decoder's options.
        latent_shape: the shape of one datum's z.
        out_shape: the likelihood's `params_shape`; the decoder has to end on exactly this.
    """

    kind = "decoder"

    def __init__(self, config: Component.Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Parameters of p(x|z): (B, *latent_shape) -> (B, *out_shape)."""


class Forward(NamedTuple):
    """One pass through the model, computed once and read by every loss term."""

    x: Tensor
    """(B, *shape)"""
    latent: Latent | None
    """None: the model has no encoder."""
    params: Tensor | None
    """(K, B, *params_shape): what the decoder gave for the draws; None: the model has no encoder."""
    log_prob: Tensor | None
    """(K, B): log p(x|z) in nats; None: the model has no encoder."""
    generated: Tensor | None
    """(B, *shape): the mean of p(x|z) for z from the prior; None where no term needs it."""
    model: Model
    """What the pass went through."""

    def detached(self) -> Forward:
        """The same numbers, through which no gradient goes back into the model."""
        latent = self.latent
        if latent is not None:
            latent = Latent(latent.z.detach(), latent.mean.detach(), _detached(latent.kl), _detached(latent.log_ratio))
        rest = (_detached(self.params), _detached(self.log_prob), _detached(self.generated))
        return Forward(self.x, latent, *rest, self.model)


def _detached(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.detach()


Need = Literal["encoder", "kl", "log_ratio", "unit_interval", "generated"]
"""An encoder; a KL; a density; latents from 0 to 1; data generated from the prior."""
OF_THE_ENCODER: frozenset[Need] = frozenset({"encoder", "kl", "log_ratio", "unit_interval"})
"""The needs that only a model with an encoder meets."""


class Loss(Component, nn.Module, ABC):
    """One term of what is minimised, in nats per datum.

    Args:
        config: the term's options.
        shape: the shape of one datum.
    """

    kind = "loss"
    needs: ClassVar[tuple[Need, ...]] = ("encoder",)
    """What the term reads of a pass; a model that does not give it is refused when it is built."""
    draws: int = 1
    """How many draws from q(z|x) the term needs; the model makes as many as the most demanding term."""

    class Config(Component.Config):
        """Options that every loss term has."""

        weight: Annotated[Schedule, Field(description="the factor in the objective: a number or a ramp")] = 1.0

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, forward: Forward) -> Tensor:
        """The unweighted term: (B,), one value a datum, or (), a statistic of the batch."""


class LearnedLoss(Loss, ABC):
    """A term with parameters of its own (a critic), which are trained against the model, by an optimizer of their own.

    Args:
        config: the term's options.
        shape: the shape of one datum.
    """

    class Config(Loss.Config):
        """Options that every learned term has."""

        optimizer: Annotated[Optimizer, Field(description="of the term's own parameters")] = Adam()

    @abstractmethod
    def critic_loss(self, forward: Forward) -> Tensor:
        """What the term's own parameters minimise, on a detached pass: (B,) or ()."""


class Split(NamedTuple):
    """Some data, with their labels if there are any."""

    x: Tensor
    """(N, *shape): float32, or uint8, which stands for x / 255."""
    labels: Tensor | None
    """(N,) int64: indices into the classes."""


class RawData(NamedTuple):
    """What a data source reads. The core splits what the source itself does not, and checks all of it."""

    train: Split
    """All data, or those for training where there is a test split."""
    test: Split | None = None
    """Where the source comes with a test split of its own."""
    classes: tuple[str, ...] | None = None
    """The names of the labels; None: their numbers."""


class DataSource(Component, ABC):
    """Where data come from.

    Args:
        config: the source's options.
    """

    kind = "data"

    class Config(Component.Config):
        """Options that every data source has."""

        validation: Annotated[Share, Field(description="held out of training: a share below 1, or how many")] = 0.1
        test: Annotated[
            Share, Field(description="held out for the final figures, where the source has no test split of its own")
        ] = 0.2
        split_seed: Annotated[int, Field(ge=0, description="which data are held out; not the run's seed")] = 0
        binarize: Annotated[
            Literal["dynamic"] | None,
            Field(description="dynamic: each value is drawn anew from Bernoulli(value) whenever it is used"),
        ] = None

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def load(self) -> RawData:
        """Read the data; raises DataError with the path and the remedy."""
