"""Flow matching: a prior whose draws follow a velocity that is fitted after training.

N data, B data of a batch, D numbers of a latent, H units; `*` stands for any leading dimensions.
"""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit import normal
from genkit_flows.fitting import NetworkPrior

FREQUENCIES = 3
"""How many waves of the time a velocity reads."""


class Velocity(nn.Module):
    """v(x, t): a network of tanh layers on x and waves of t, with the exact trace of its Jacobian by x.

    Args:
        size: D.
        hidden: the widths H of the hidden layers.
    """

    def __init__(self, size: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        widths = (size, *hidden)
        self.size = size
        self.time = nn.Linear(1 + 2 * FREQUENCIES, hidden[0], bias=False)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.last = nn.Linear(widths[-1], size)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x (*, D), t (*, 1) or (1,) -> velocities (*, D)."""
        return self.last(self._units(x, t)[-1])  # type: ignore[no-any-return]

    def with_divergence(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The velocities (*, D) and Σ_i ∂v_i/∂x_i (*); the derivatives of all units by x take D times their memory."""
        units = self._units(x, t)
        weights = [cast(nn.Linear, layer).weight for layer in self.layers]
        slopes = weights[0].T * (1 - units[0].square()).unsqueeze(-2)  # (*, D, H): ∂unit/∂x
        for weight, unit in zip(weights[1:], units[1:], strict=True):
            slopes = slopes @ weight.T * (1 - unit.square()).unsqueeze(-2)
        return self.last(units[-1]), (slopes * self.last.weight).sum((-1, -2))

    def _units(self, x: Tensor, t: Tensor) -> list[Tensor]:
        """The units (*, H) of each hidden layer."""
        angles = torch.cat([t * (math.pi * 2**number) for number in range(FREQUENCIES)], -1)
        of_time = self.time(torch.cat([t, angles.sin(), angles.cos()], -1))
        units = [torch.tanh(self.layers[0](x) + of_time)]
        for layer in self.layers[1:]:
            units.append(torch.tanh(layer(units[-1])))
        return units


class FlowMatchingPrior(NetworkPrior):
    """dz/dt = v(z, t) from noise z ~ N(0, I) at t = 0 to latents at t = 1, with v fitted after training.

    The path between a noise x_0 and a latent x_1 is straight, x_t = (1 − t) x_0 + t x_1, and v is the regression of
    x_1 − x_0 on x_t and t: Lipman et al. 2023 (arXiv:2210.02747), equation 23 with σ_min = 0. The equation is solved by
    `solver_steps` steps of the Runge-Kutta method of order 4, the density by the trace of ∂v/∂z along the way
    (Chen et al. 2018, arXiv:1806.07366, theorem 1), which is exact and takes D times the time of a draw.

    Args:
        config: the network, the steps of the fit and those of the solver.
        latent_shape: any shape, which is flattened.
    """

    class Config(NetworkPrior.Config):
        """Options of the velocity, of its fit and of the solver."""

        name: Literal["flow_matching"] = "flow_matching"
        hidden: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(min_length=1, description="the widths of the hidden layers of the velocity"),
        ] = (64, 64)
        solver_steps: Annotated[
            int, Field(ge=1, description="how many steps a draw takes from noise to latent, and a density back")
        ] = 10

    config: Config
    network: Velocity

    def new_network(self) -> Velocity:
        """A velocity before its fit, which is 0."""
        return Velocity(self.size, self.config.hidden)

    def loss(self, values: Tensor) -> Tensor:
        """The mean of ‖v(x_t, t) − (x_1 − x_0)‖² over standardized latents x_1 (B, D): ()."""
        noise, t = torch.randn_like(values), torch.rand_like(values[:, :1])
        missed = self.network(torch.lerp(noise, values, t), t) - (values - noise)
        loss: Tensor = missed.square().sum(1).mean()
        return loss

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        values = self.standardized(z)
        total = torch.zeros_like(values[..., 0])
        step = 1 / self.config.solver_steps
        for number in range(self.config.solver_steps):
            t = values.new_full((1,), 1 - number * step)
            values, total = self._step_back(values, total, t, step)
        log_prob: Tensor = total - (values.square() + math.log(2 * math.pi)).sum(-1) / 2 - self.scale.log().sum()
        return log_prob

    def _step_back(self, z: Tensor, total: Tensor, t: Tensor, step: float) -> tuple[Tensor, Tensor]:
        """A step from t to t − step: z (*, D), and the divergence that has been passed (*), negative."""
        v1, d1 = self.network.with_divergence(z, t)
        v2, d2 = self.network.with_divergence(z - v1 * (step / 2), t - step / 2)
        v3, d3 = self.network.with_divergence(z - v2 * (step / 2), t - step / 2)
        v4, d4 = self.network.with_divergence(z - v3 * step, t - step)
        weight = step / 6
        return z - weight * (v1 + 2 * v2 + 2 * v3 + v4), total - weight * (d1 + 2 * d2 + 2 * d3 + d4)

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape)."""
        z, step = normal(n, self.size, batch=0, like=self.shift), 1 / self.config.solver_steps
        for number in range(self.config.solver_steps):
            t = z.new_full((1,), number * step)
            v1 = self.network(z, t)
            v2 = self.network(z + v1 * (step / 2), t + step / 2)
            v3 = self.network(z + v2 * (step / 2), t + step / 2)
            v4 = self.network(z + v3 * step, t + step)
            z = z + (step / 6) * (v1 + 2 * v2 + 2 * v3 + v4)
        return self.in_units(z)
