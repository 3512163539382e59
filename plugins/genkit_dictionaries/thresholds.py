"""Codes in which each unit has a threshold or a gate of its own.

B data, D units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit.interfaces import Shape
from genkit_dictionaries.samplers import PRE, SparseSampler

ACTIVE = "active"
"""The name in `Latent.extra` of whether units are active, (B, D), with a gradient to their thresholds."""
GATE = "gate"
"""The name in `Latent.extra` of the pre-activations of gates, (B, D)."""


def heaviside(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """H(pre − θ) with the pseudo-derivative −(1/ε) K((pre − θ)/ε) by θ, and none by pre: (B, D), (D,) -> (B, D).

    K is 1 from −½ to ½, else 0, and ε is the bandwidth: of many data, the mean of the derivative is a kernel estimate
    of that of the expectation (Rajamanoharan et al. 2024, arXiv:2407.14435, equations 11 and 12).
    """
    slope = ((pre.detach() - threshold) / bandwidth).clamp(-0.5, 0.5)
    return (pre > threshold).to(pre.dtype) + (slope - slope.detach())


def jump(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """pre · H(pre − θ), with the pseudo-derivative −(θ/ε) K((pre − θ)/ε) by θ: (B, D), (D,) -> (B, D).

    The derivative by pre is H(pre − θ) (arXiv:2407.14435, equation 11).
    """
    active = heaviside(pre, threshold, bandwidth)
    return torch.where(pre > threshold, pre, 0.0) + threshold.detach() * (active - active.detach())


class JumpReLUSampler(SparseSampler):
    """z_j = π_j where π_j > θ_j, else 0, with π = W features + b and a threshold θ_j > 0 that each unit learns.

    Rajamanoharan et al. 2024 (arXiv:2407.14435). The term `l0` counts the active units, and reaches the thresholds by a
    straight-through kernel. Without it thresholds follow the reconstruction alone.

    Args:
        config: the number of units, the thresholds at the start, and the width of the kernel.
        features: any shape, which is flattened.

    Raises:
        ComponentError: there is no encoder.
    """

    title = "jumprelu"

    class Config(SparseSampler.Config):
        """Options of the code with thresholds."""

        name: Literal["jumprelu"] = "jumprelu"
        threshold: Annotated[float, Field(gt=0, description="the threshold of each unit at the start")] = 0.1
        bandwidth: Annotated[
            float,
            Field(
                gt=0,
                description="the width ε of the kernel: data with a pre-activation within ε/2 of a threshold move it",
            ),
        ] = 0.1

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.bandwidth = config.bandwidth
        self.log_threshold = nn.Parameter(torch.full((config.latent,), math.log(config.threshold)))

    def units(self, features: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Features (B, F) -> the code (B, D), the pre-activations, and which units are active."""
        pre, threshold = self.code(features), self.log_threshold.exp()
        active = heaviside(pre, threshold, self.bandwidth)
        return jump(pre, threshold, self.bandwidth), {PRE: pre, ACTIVE: active}


class GatedSampler(SparseSampler):
    """z = 1[π > 0] · ReLU(exp(r) · W features + m), with gates π = W features + b.

    Rajamanoharan et al. 2024 (arXiv:2404.16014), equations 3 to 7: what is active, and how much, are separate, so that
    a penalty on the gates does not shrink the code. The gates learn by the terms `gate_l1` and `gate_reconstruction`,
    and by nothing else.

    Args:
        config: the number of units.
        features: any shape, which is flattened.

    Raises:
        ComponentError: there is no encoder.
    """

    title = "gated"
    checked_with: ClassVar[Mapping[str, Any]] = {
        "partners": {"decoder": "dictionary", "loss": ["gate_l1", "gate_reconstruction"]}
    }

    class Config(SparseSampler.Config):
        """Options of the code with gates."""

        name: Literal["gated"] = "gated"

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.log_scale = nn.Parameter(torch.zeros(config.latent))
        self.magnitude_bias = nn.Parameter(torch.zeros(config.latent))

    def units(self, features: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Features (B, F) -> the code (B, D), and the pre-activations of the gates."""
        gate = self.code(features)
        magnitude = torch.relu(self.log_scale.exp() * (gate - self.code.bias) + self.magnitude_bias)
        return magnitude * (gate > 0), {PRE: gate, GATE: gate}
