"""The angle θ between a draw from a von Mises-Fisher distribution and its mean direction.

In D dimensions its density is g(θ) / Z, g(θ) = sin(θ)^(D − 2) exp(κ cos θ) on [0, π] (Mardia & Jupp 2000, Directional
Statistics, section 9.3), where Z is a Bessel function: Z = √π Γ(ν + ½) (2 / κ)^ν I_ν(κ) with ν = D / 2 − 1 (NIST DLMF,
equation 10.32.2). All is computed by Gauss-Legendre quadrature around the mode of g, relative to its value there: so
nothing overflows or cancels in float32, for any D and any κ ≥ 0.

B data, K draws, I intervals, P points in each.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

INTERVALS, POINTS = 32, 4
REACH = 12.0
"""How many standard deviations of a Gaussian with the curvature of log g at its mode the intervals reach from there."""
NEWTON = 4
"""The steps of Newton's method that invert the integral over an interval."""


class Quadrature(NamedTuple):
    """The distribution of the angle for concentrations κ (B,)."""

    kappa: Tensor
    mode: Tensor
    """(B,): the angle at which g is largest; no gradients go through it, nor through the places."""
    edges: Tensor
    """(B, I + 1): the ends of the intervals."""
    shares: Tensor
    """(B, I, P): the probability that each point stands for."""
    heights: Tensor
    """(B, I, P): 1 − cos θ at the points."""
    log_total: Tensor
    """(B,): log of the integral of g(θ) / g(mode)."""

    @property
    def height(self) -> Tensor:
        """1 − E[cos θ], (B,): the mean resultant length falls short of 1 by so much."""
        return (self.shares * self.heights).sum((1, 2))


class Polar(nn.Module):
    """The normalizer of the angle's density, and draws of the angle.

    Args:
        size: the number of dimensions D, at least 2.
    """

    points: Tensor
    weights: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.power = size - 2
        points, weights = np.polynomial.legendre.leggauss(POINTS)
        self.register_buffer("points", torch.tensor((points + 1) / 2, dtype=torch.float32), persistent=False)
        self.register_buffer("weights", torch.tensor(weights / 2, dtype=torch.float32), persistent=False)

    def forward(self, kappa: Tensor) -> Quadrature:
        """The distributions for κ (B,), differentiable in κ."""
        with torch.no_grad():
            mode = self._mode(kappa)
            edges = self._edges(kappa, mode)
            width = edges.diff(dim=1).unsqueeze(2)
            theta = edges[:, :-1, None] + width * self.points
            log_weights = torch.log(width * self.weights)
        logs = self._log_density(theta, kappa[:, None, None], mode[:, None, None]) + log_weights
        log_total = torch.logsumexp(logs.flatten(1), 1)
        shares = torch.exp(logs - log_total[:, None, None])
        return Quadrature(kappa, mode, edges, shares, _height(theta), log_total)

    def log_normalizer(self, of: Quadrature) -> Tensor:
        """Log of the integral of sin(θ)^(D − 2) exp(κ (cos θ − 1)), (B,)."""
        log_total = of.log_total - of.kappa * _height(of.mode)
        return log_total + self.power * torch.log(torch.sin(of.mode)) if self.power else log_total

    def draw(self, uniform: Tensor, of: Quadrature) -> Tensor:
        """Angles (K, B) by the inverse of their distribution function at uniform numbers (K, B).

        Their gradients are those of the inverse, dθ/dκ = −(∂F/∂κ) / (∂F/∂θ) (Figurnov et al. 2018, arXiv:1805.08498,
        equation 4), with ∂F/∂κ = ∫ (cos t − E[cos θ]) g(t) dt / Z up to θ.
        """
        fixed = Quadrature(*(each.detach() for each in of))
        with torch.no_grad():
            masses = fixed.shares.sum(2)
            ends = masses.cumsum(1)
            index = torch.searchsorted(ends, uniform.T.contiguous()).clamp_max(INTERVALS - 1).T
            start, stop = (_taken(each, index) for each in (fixed.edges[:, :-1], fixed.edges[:, 1:]))
            wanted = uniform - _taken(ends - masses, index)
            part = (wanted / _taken(masses, index)).clamp(0, 1)
            near_zero = part ** (1 / (self.power + 1))  # g grows like a power of θ there
            theta = start + (stop - start) * torch.where(start == 0, near_zero, part)
            for _ in range(NEWTON):
                excess = self._integral(start, theta, fixed) - wanted
                theta = torch.clamp(theta - excess / self._share(theta, fixed), start, stop)
        if not of.kappa.requires_grad or not torch.is_grad_enabled():
            return theta
        slope = self._slope(start, theta, index, fixed)
        return theta + slope * (of.kappa - fixed.kappa)

    def _slope(self, start: Tensor, theta: Tensor, index: Tensor, of: Quadrature) -> Tensor:
        """dθ/dκ, (K, B); ∂F/∂κ is summed from the nearer end of the angles, so that it is as exact in the tails."""
        changes = (of.shares * (of.height[:, None, None] - of.heights)).sum(2)
        below = changes.cumsum(1) - changes
        above = changes.flip(1).cumsum(1).flip(1)
        is_low = of.shares.sum(2).cumsum(1) < 0.5
        whole = _taken(torch.where(is_low, below, -above), index)
        within = self._integral(start, theta, of, of.height)
        return -(whole + within) / self._share(theta, of)

    def _integral(self, start: Tensor, theta: Tensor, of: Quadrature, mean: Tensor | None = None) -> Tensor:
        """The probability of angles from start to θ, (K, B); with a `mean`, the integral of cos θ − (1 − mean)."""
        length = (theta - start).unsqueeze(-1)
        places = start.unsqueeze(-1) + length * self.points
        values = self._share(places, Quadrature(*(each.unsqueeze(-1) for each in of)))
        if mean is not None:
            values = values * (mean.unsqueeze(-1) - _height(places))
        return (length * values * self.weights).sum(-1)

    def _share(self, theta: Tensor, of: Quadrature) -> Tensor:
        """The density at θ, never 0, as it is divided by."""
        density = torch.exp(self._log_density(theta, of.kappa, of.mode) - of.log_total)
        return density.clamp_min(torch.finfo(theta.dtype).tiny)

    def _mode(self, kappa: Tensor) -> Tensor:
        """Where κ sin² θ = (D − 2) cos θ: (B,) -> (B,)."""
        total = self.power + torch.sqrt(self.power**2 + 4 * kappa.square())
        total = total.clamp_min(torch.finfo(kappa.dtype).tiny)
        return torch.atan2(torch.sqrt(2 * self.power / total), 2 * kappa / total)

    def _log_density(self, theta: Tensor, kappa: Tensor, mode: Tensor) -> Tensor:
        """Log g(θ) − log g(mode); shapes broadcast."""
        middle, across = (theta + mode) / 2, 2 * torch.sin((theta - mode) / 2)
        log_density = -kappa * torch.sin(middle) * across
        if self.power == 0:
            return log_density
        of_sine = (torch.cos(middle) * across / torch.sin(mode)).clamp_min(-1)  # sin θ / sin(mode) − 1
        return log_density + self.power * torch.log1p(of_sine)

    def _edges(self, kappa: Tensor, mode: Tensor) -> Tensor:
        """The ends of the intervals: (B,) -> (B, I + 1)."""
        curvature = kappa * torch.cos(mode)
        if self.power:
            curvature = curvature + self.power / torch.sin(mode).square()
        reach = REACH * torch.rsqrt(curvature)
        low, high = (mode - reach).clamp_min(0), (mode + reach).clamp_max(math.pi)
        steps = torch.arange(INTERVALS + 1, dtype=kappa.dtype, device=kappa.device) / INTERVALS
        return low.unsqueeze(1) + (high - low).unsqueeze(1) * steps


def _height(theta: Tensor) -> Tensor:
    """1 − cos θ, without cancellation."""
    return 2 * torch.sin(theta / 2).square()


def _taken(values: Tensor, index: Tensor) -> Tensor:
    """The values (B, I) at indices (K, B): (K, B)."""
    return values.T.gather(0, index)


def log_area(size: int) -> float:
    """Log of the area of the unit sphere in D dimensions, 2 π^(D/2) / Γ(D/2)."""
    return math.log(2) + size / 2 * math.log(math.pi) - math.lgamma(size / 2)
