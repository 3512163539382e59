"""Terms of dictionaries: penalties, the revival of dead units, and reconstructions by parts of a code.

B data, D units, d values of a datum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Forward, Loss, Shape, batch_mean
from genkit.errors import ComponentError
from genkit.interfaces import Whole
from genkit.settings.schedules import Schedule
from genkit_dictionaries.decoder import dictionary_of
from genkit_dictionaries.samplers import PRE
from genkit_dictionaries.thresholds import ACTIVE, GATE


def extra(forward: Forward, name: str, term: str, sampler: str) -> Tensor:
    """A tensor of `Latent.extra`, (B, D), for a term; raises ComponentError where the sampler gives none."""
    assert forward.latent is not None
    if name not in forward.latent.extra:
        raise ComponentError(
            f"loss '{term}' reads '{name}', which the sampler does not give: choose sampler: {sampler}"
        )
    return forward.latent.extra[name]


class L0(Loss):
    """The number of active units of a datum, for the sampler `jumprelu`.

    Rajamanoharan et al. 2024 (arXiv:2407.14435), equation 9. Its gradient moves thresholds alone.

    Args:
        config: the weight.
        shape: any shape.
    """

    checked_with: ClassVar[Mapping[str, Any]] = {
        "partners": {"sampler": {"name": "jumprelu", "latent": 6, "bandwidth": 8.0}}
    }

    class Config(Loss.Config):
        """Options of the number of active units."""

        name: Literal["l0"] = "l0"

    def forward(self, forward: Forward) -> Tensor:
        """(B,): the number of each datum."""
        return extra(forward, ACTIVE, "l0", "jumprelu").sum(1)


class GateL1(Loss):
    """Σ_j ReLU(π_j): the L1 norm of the open gates of the sampler `gated`.

    Rajamanoharan et al. 2024 (arXiv:2404.16014), equation 8, second term.

    Args:
        config: the weight.
        shape: any shape.
    """

    checked_with: ClassVar[Mapping[str, Any]] = {"partners": {"sampler": {"name": "gated", "latent": 6}}}

    class Config(Loss.Config):
        """Options of the penalty on gates."""

        name: Literal["gate_l1"] = "gate_l1"

    def forward(self, forward: Forward) -> Tensor:
        """(B,): the sum of each datum."""
        return torch.relu(extra(forward, GATE, "gate_l1", "gated")).sum(1)


class GateReconstruction(Loss):
    """−log p(x | ReLU(π)): the reconstruction by the gates, which they learn from, with the dictionary as it is.

    Rajamanoharan et al. 2024 (arXiv:2404.16014), equation 8, third term: atoms and bias get no gradient.

    Args:
        config: the weight.
        shape: any shape.
    """

    checked_with: ClassVar[Mapping[str, Any]] = {
        "partners": {"sampler": {"name": "gated", "latent": 6}, "decoder": "dictionary"}
    }

    class Config(Loss.Config):
        """Options of the reconstruction by the gates."""

        name: Literal["gate_reconstruction"] = "gate_reconstruction"

    def attach(self, model: Whole) -> None:
        """Keep the dictionary; raises ComponentError where there is none."""
        self.decoded = dictionary_of(model, "it decodes by the dictionary as it is").frozen

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats."""
        params = self.decoded(torch.relu(extra(forward, GATE, "gate_reconstruction", "gated")))
        return -forward.likelihood.log_prob(forward.x, params.unsqueeze(0))[0]


class Matryoshka(Loss):
    """Σ_m −log p(x | z_1, ..., z_m): the reconstructions by the first m units alone, for some m.

    Bussmann et al. 2025 (arXiv:2503.17547), equation 4, without the whole code, which is the term `reconstruction`. The
    first units have to be of general use, and are not split up into finer ones.

    Args:
        config: the numbers of units, and the weight.
        shape: any shape.
    """

    checked_with: ClassVar[Mapping[str, Any]] = {
        "partners": {"sampler": {"name": "topk", "latent": 8, "k": 4}, "decoder": "dictionary"}
    }

    class Config(Loss.Config):
        """Options of the reconstructions by first units."""

        name: Literal["matryoshka"] = "matryoshka"
        prefixes: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...] | None,
            Field(
                min_length=1,
                description="the numbers m of first units that reconstruct alone, each less than all; null: a half, a "
                "quarter and an eighth of the units",
            ),
        ] = None

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.prefixes = config.prefixes or ()

    def attach(self, model: Whole) -> None:
        """Keep the dictionary; raises ComponentError where there is none, or a prefix is no part of the code."""
        decoder = dictionary_of(model, "it decodes by a part of the dictionary")
        self.decoded, units = decoder.of_first, len(decoder.atoms)
        self.prefixes = self.prefixes or tuple(m for m in (units // 8, units // 4, units // 2) if m > 0)
        if (widest := max(self.prefixes, default=0)) >= units:
            raise ComponentError(
                f"its prefixes are parts of a code of {units} units, and {widest} is none: leave it out, as the whole "
                "code is the term 'reconstruction'"
            )

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats, summed over the prefixes."""
        assert forward.latent is not None
        code = forward.latent.mean.flatten(1)
        params = torch.stack([self.decoded(code[:, :m]) for m in self.prefixes])
        return -forward.likelihood.log_prob(forward.x, params).sum(0)


class Auxiliary(Loss):
    """½‖e − ê‖²: what the whole code misses, e = x − x̂, reconstructed by the units that are dead.

    Gao et al. 2024 (arXiv:2406.04093), appendix A.2, whose factor is 1/32. A unit is dead that was active for no datum
    of the last `dead_after` batches; ê is made of the `units` largest positive pre-activations of dead units of a
    datum. Without dead units the term is 0.

    Args:
        config: when a unit is dead, how many of them make ê, and the weight.
        shape: any shape.
    """

    checked_with: ClassVar[Mapping[str, Any]] = {
        "partners": {"sampler": {"name": "topk", "latent": 8, "k": 2}, "decoder": "dictionary"}
    }
    expected_failures: ClassVar[Mapping[str, str]] = {
        "gradients reach the model": "no unit is dead before training, and the term is 0"
    }
    idle: Tensor
    atoms: Callable[[], Tensor]

    class Config(Loss.Config):
        """Options of the revival of dead units."""

        name: Literal["auxiliary"] = "auxiliary"
        weight: Annotated[
            Schedule,
            Field(description="the factor in the objective: a number, or a schedule (linear, cosine, steps)"),
        ] = 1 / 32
        dead_after: Annotated[
            int, Field(ge=1, description="the number of batches without activity after which a unit is dead")
        ] = 100
        units: Annotated[
            int, Field(ge=1, description="how many dead units, at most, reconstruct what the code misses")
        ] = 32

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.dead_after, self.units = config.dead_after, config.units
        self.register_buffer("idle", torch.zeros(0))

    def attach(self, model: Whole) -> None:
        """Keep the dictionary; raises ComponentError where there is none."""
        decoder = dictionary_of(model, "it decodes by the dead atoms of the dictionary")
        self.atoms = decoder.directions
        self.idle = torch.zeros(len(decoder.atoms))

    def forward(self, forward: Forward) -> Tensor:
        """(B,), in squares of the data's units."""
        assert forward.latent is not None
        assert forward.params is not None
        pre, code = extra(forward, PRE, "auxiliary", "topk"), forward.latent.mean.detach()
        if self.training:
            active = batch_mean((code != 0).to(code.dtype)) > 0
            self.idle.copy_(torch.where(active, 0.0, self.idle + 1))
        dead = self.idle >= self.dead_after
        largest = torch.topk(torch.where(dead, torch.relu(pre), 0.0), min(self.units, pre.shape[1]), dim=1)
        revived = torch.zeros_like(pre).scatter(1, largest.indices, largest.values)
        missed = (forward.x - forward.likelihood.mean(forward.params[0])).detach().flatten(1)
        return torch.where(dead.any(), (missed - revived @ self.atoms()).square().sum(1) / 2, 0.0)
