"""Metrics: named figures of a trained model, each with its unit, its better direction and a sentence.

B data, K draws, N data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from genkit.interfaces.columns import Column
from genkit.interfaces.component import Component, Shape
from genkit.interfaces.data import Split
from genkit.interfaces.decoder import Decoder
from genkit.interfaces.encoder import Encoder
from genkit.interfaces.likelihood import Likelihood
from genkit.interfaces.loss import Forward
from genkit.interfaces.sampler import Sampler

NATS = "nats per datum"


class Description(NamedTuple):
    """The description of a figure, for people who read it."""

    name: str
    """The name, as tables and cards have it."""
    unit: str = ""
    """The unit, such as `nats per datum`; empty for a pure number."""
    better: Literal["lower", "higher"] | None = None
    """The better direction; None: neither is better in itself."""
    sentence: str = ""
    """The meaning of the figure, with the source of its formula."""
    form: str = ",.4g"
    """The number's format, as for Python's `format`."""
    of_density: bool = False
    """Whether it is the figure of a density of the data, which hangs on the units of the data."""

    @property
    def title(self) -> str:
        """The name with its unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def arrow(self) -> str:
        """An arrow in the better direction; empty where neither is better."""
        return {"higher": "↑", "lower": "↓", None: ""}[self.better]


class TrainedModel(Protocol):
    """What a metric may use of a model: its parts, and what they do together. `genkit.Model` has all of it."""

    @property
    def encoder(self) -> Encoder | None:
        """The encoder; None: the model only generates."""

    @property
    def sampler(self) -> Sampler:
        """The sampler."""

    @property
    def decoder(self) -> Decoder:
        """The decoder."""

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood, which reads the decoder's output."""

    @property
    def shape(self) -> Shape:
        """The shape of one datum."""

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""

    def encode(self, x: Tensor | Split, /) -> Tensor:
        """The points that represent data: x (N, *shape) -> (N, *latent_shape); a split brings its side data along."""

    def decode(self, z: Tensor, /) -> Tensor:
        """The mean of p(x|z): z (N, *latent_shape) -> (N, *shape)."""

    def reconstruct(self, x: Tensor | Split, /) -> Tensor:
        """`decode(encode(x))`: (N, *shape) -> (N, *shape)."""

    def draw(self, n: int) -> Tensor:
        """Draws from the prior: (n, *latent_shape)."""

    def sample(self, n: int, /, noise: bool = False) -> Tensor:
        """Generated data (n, *shape): means of p(x|z) for z from the prior; with `noise`, draws from p(x|z)."""


Pass = Callable[[int], Forward]
"""Passes of one batch through the model: takes the number K of draws from q(z|x); each call draws anew."""


class MetricData(NamedTuple):
    """The data on which a metric measures a model."""

    split: Split
    """The split that is measured, with its side data; uint8 is read as x / 255."""
    train: Split
    """The training split, for what has to be fitted."""
    classes: tuple[str, ...] | None
    """The names of the labels; None: labels have numbers only."""
    passes: Callable[[int], Iterator[Pass]]
    """Takes a number B of data, and gives the passes of each batch of so many data of `split`, in order.

    Their x is in the model's units, and their log_prob in the data's own, by the transforms' log|det J|.
    """
    sampled: Callable[[int], Split]
    """Takes a number of data, and gives as many draws from p(x|z) for z from the prior, in the data's own units.

    What the model is conditioned on is that of training data drawn at random, and comes with them."""
    columns: tuple[Column, ...] = ()
    """The columns of a table, with their places in a datum; (): the data are no table."""


MetricNeed = Literal["encoder", "density", "prior", "labels", "factors", "codes"]
"""What a metric can need: an encoder; densities of q(z|x) and p(x|z); a prior to draw from; labels in both splits;
several classes per datum (the labels, and side data of classes) in both splits; a sampler with codes (a
`CodeSampler`)."""


class Metric(Component, ABC):
    """Figures of a trained model on a split of its data.

    The core measures in eval mode, without gradients, and after seeding torch with `seed`: a metric that draws from
    torch gives the same figures for the same seed. Other generators take `seed` themselves.

    Args:
        config: the metric's options.
    """

    kind = "metric"
    figures: Mapping[str, Description]
    """The figures by their keys, in the order in which they are shown; set in the class, or in `__init__`."""
    needs: ClassVar[tuple[MetricNeed, ...]] = ("encoder",)
    """What the metric reads; a config whose model or data lack it is refused."""
    in_evaluate: ClassVar[bool] = False
    """Whether `genkit evaluate` measures it unasked, where model and data have what it needs."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The figures by their keys; one that the model does not have is left out."""
