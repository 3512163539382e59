"""Codes in which the largest units are kept, of each datum or of the whole batch.

B data, K draws, D units, k units that are kept.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit import gather, own_rows
from genkit.errors import ComponentError
from genkit.interfaces import Latent, Sampler, Shape, Whole
from genkit_dictionaries.decoder import DictionaryDecoder

PRE = "pre_activations"
"""The name in `Latent.extra` of what the units are computed from, (B, D)."""
Units = Annotated[int, Field(ge=1, description="the number of units, D: the width of the code")]


class SparseSampler(Sampler, ABC):
    """A code of D units, the same at every draw: features (B, *features) -> z (K, B, D).

    Pre-activations are W features + b. Beside the decoder `dictionary`, W starts as the transpose of the atoms, so that
    few units are dead from the start (Gao et al. 2024, arXiv:2406.04093, section 2.4).

    Args:
        config: the number of units.
        features: any shape, which is flattened.

    Raises:
        ComponentError: there is no encoder.
    """

    has_prior = False
    bounds = (0.0, math.inf)

    class Config(Sampler.Config):
        """Options of every sampler of sparse codes."""

        latent: Units = 512

    title: ClassVar[str]
    """The name that configs have for the sampler."""

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        if features is None:
            raise ComponentError(f"sampler '{self.title}' needs an encoder: it has no prior to draw from")
        self.latent_shape = (config.latent,)
        self.code = nn.Linear(math.prod(features), config.latent)
        nn.init.zeros_(self.code.bias)

    def attach(self, model: Whole) -> None:
        """Start with the atoms of a dictionary as weights, where they have the shape."""
        decoder = model.decoder
        if isinstance(decoder, DictionaryDecoder) and decoder.atoms.shape == self.code.weight.shape:
            with torch.no_grad():
                self.code.weight.copy_(decoder.atoms)

    @abstractmethod
    def units(self, features: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The code of features (B, F), (B, D), and what terms read of it, with the pre-activations as `PRE`."""

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """features (B, *features) -> z (K, B, D), the same K times, and mean (B, D)."""
        code, extra = self.units(features.flatten(1))
        return Latent(code.expand(draws, *code.shape), code, None, None, None, extra)

    def prior(self, n: int) -> Tensor:
        """There is none; raises ComponentError."""
        raise ComponentError(
            f"sampler '{self.title}' has no prior, so a dictionary cannot generate; decode codes of data, or add a "
            "prior that is fitted to them"
        )


def check_kept(name: str, k: int, units: int) -> None:
    """Refuse to keep more units than there are; raises ComponentError."""
    if k > units:
        raise ComponentError(f"sampler '{name}': a code of {units} units cannot keep the {k} largest; lower k")


class TopKSampler(SparseSampler):
    """z = the k largest of ReLU(W features + b) of each datum, and 0 for the others.

    Gao et al. 2024 (arXiv:2406.04093), section 2.3. Units that are never among the k are revived by the term
    `auxiliary`.

    Args:
        config: the number of units, and of those that are kept.
        features: any shape, which is flattened.

    Raises:
        ComponentError: there is no encoder, or k is larger than the code is wide.

    Example:
        >>> sampler = TopKSampler(TopKSampler.Config(latent=100, k=5), features=(64,))
        >>> int((sampler(torch.randn(8, 64)).mean > 0).sum(1).max())
        5
    """

    title = "topk"

    class Config(SparseSampler.Config):
        """Options of the code with k units per datum."""

        name: Literal["topk"] = "topk"
        k: Annotated[int, Field(ge=1, description="how many of the largest units of a code are kept")] = 16

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        check_kept("topk", config.k, config.latent)
        self.k = config.k

    def units(self, features: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Features (B, F) -> the code (B, D), and the pre-activations."""
        pre = self.code(features)
        kept = torch.topk(torch.relu(pre), self.k, dim=1)
        return torch.zeros_like(pre).scatter(1, kept.indices, kept.values), {PRE: pre}


class BatchTopKSampler(SparseSampler):
    """z = the k · B largest of ReLU(W features + b) of a whole batch of B data, which may differ in their number.

    Bussmann et al. 2024 (arXiv:2412.06410). Outside training a unit is kept where it is above one threshold, so that
    the code of a datum does not depend on others (section 3): the mean over batches of the smallest unit that was kept,
    of the last 1 / `rate` batches or so.

    Args:
        config: the number of units, how many are kept per datum in the mean, and the rate of the threshold.
        features: any shape, which is flattened.

    Raises:
        ComponentError: there is no encoder, or k is larger than the code is wide.
    """

    title = "batch_topk"
    threshold: Tensor
    batches: Tensor

    class Config(SparseSampler.Config):
        """Options of the code with k units per datum in the mean over a batch."""

        name: Literal["batch_topk"] = "batch_topk"
        k: Annotated[
            int, Field(ge=1, description="how many units are kept per datum, in the mean over the data of a batch")
        ] = 16
        rate: Annotated[
            float,
            Field(gt=0, le=1, description="the weight of a batch in the running mean that is the threshold"),
        ] = 0.01

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        check_kept("batch_topk", config.k, config.latent)
        self.k, self.rate = config.k, config.rate
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("batches", torch.zeros(()))

    def units(self, features: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Features (B, F) -> the code (B, D), and the pre-activations."""
        pre = self.code(features)
        code = torch.relu(pre)
        if not self.training:
            return torch.where(code > self.threshold, code, 0.0), {PRE: pre}
        whole = gather(code.detach())
        kept = torch.topk(whole.flatten(), self.k * len(whole))
        chosen = torch.zeros_like(whole).flatten().scatter(0, kept.indices, 1.0).view_as(whole)
        self._follow(kept.values)
        return code * own_rows(chosen), {PRE: pre}

    def _follow(self, kept: Tensor) -> None:
        """Move the threshold towards the smallest positive unit of those that are kept (k · B,)."""
        smallest = torch.where(kept > 0, kept, math.inf).amin()
        self.batches.add_(1)
        rate = torch.clamp(1 / self.batches, min=self.rate)
        new = torch.lerp(self.threshold, smallest, rate)
        self.threshold.copy_(torch.where(smallest.isfinite(), new, self.threshold))
