"""A loss term that keeps codes near 0.

B data, D latent dimensions.
"""

from typing import Annotated, Literal

from genkit import Forward, Loss, Shape, hookimpl
from pydantic import Field
from torch import Tensor


class SketchLoss(Loss):
    """½ Σ_d max(|mean_d| − margin, 0)²; with a margin of 0, −log N(mean; 0, I) without its constant.

    Ghosh et al. 2020, "From variational to deterministic autoencoders" (arXiv:1903.12436), use it without a margin in
    place of the KL.

    Args:
        config: the weight and the margin.
        shape: any shape.
    """

    class Config(Loss.Config):
        """Options of the term."""

        name: Literal["sketch"] = "sketch"
        margin: Annotated[float, Field(ge=0, description="how far from 0 a code may lie at no cost")] = 0.0

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.margin = config.margin

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats."""
        assert forward.latent is not None
        beyond = (forward.latent.mean.abs() - self.margin).clamp_min(0)
        return beyond.square().flatten(1).sum(1) / 2


@hookimpl
def components() -> list[type[Loss]]:
    """One loss term."""
    return [SketchLoss]
