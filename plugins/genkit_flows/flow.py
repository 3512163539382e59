"""What all flows have in common: they map a noise to a latent and back, with the logarithm of the Jacobian.

H numbers of context, D numbers of a latent; `*` stands for any leading dimensions, which broadcast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Flow(nn.Module, ABC):
    """A bijection of R^D that depends on a context."""

    context_size: int
    """H; set in `__init__`."""

    @abstractmethod
    def forward(self, noise: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """noise (*, D), context (*, H) or None -> z (*, D) and log|det dz/dnoise| (*)."""

    @abstractmethod
    def back(self, z: Tensor, context: Tensor | None) -> Tensor:
        """z (*, D), context (*, H) or None -> the noise (*, D) of which `forward` makes z."""
