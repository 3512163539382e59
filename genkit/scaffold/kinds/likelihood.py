"""A likelihood with Laplace noise: it counts absolute errors, so outliers weigh less than with squares.

B data, K draws.
"""

import math
from typing import Annotated, Literal

from genkit import Likelihood, Shape, hookimpl
from pydantic import Field
from torch import Tensor
from torch.distributions import Laplace


class SketchLikelihood(Likelihood):
    """p(x|z) = Π Laplace(x; params, scale): log p is −|x − params| / scale − log(2 · scale), summed over the datum.

    Args:
        config: the scale.
        shape: any shape.
    """

    class Config(Likelihood.Config):
        """Options of the likelihood."""

        name: Literal["sketch"] = "sketch"
        scale: Annotated[float, Field(gt=0, description="the mean absolute error of each value")] = 0.1

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.params_shape = shape
        self.scale = config.scale

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """x (B, *shape), params (K, B, *shape) -> (K, B) nats."""
        return -((x - params).abs() / self.scale + math.log(2 * self.scale)).flatten(2).sum(2)

    def mean(self, params: Tensor) -> Tensor:
        """The params themselves."""
        return params

    def sample(self, params: Tensor) -> Tensor:
        """The mean and Laplace noise."""
        return Laplace(params, self.scale).sample()


@hookimpl
def components() -> list[type[Likelihood]]:
    """One likelihood."""
    return [SketchLikelihood]
