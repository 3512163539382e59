"""Checks of samplers' densities: draws, log-ratio, KL and prior belong to one q(z|x) and one p(z).

q is the posterior, p the prior; N draws, B data, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from genkit.interfaces import Sampler
from genkit.testing.check import promise
from genkit.testing.estimates import DRAWS, ROUNDING, SIGMAS, fitted, is_gaussian, off, tail
from genkit.testing.subject import NotApplicable, Subject, require

HEAVY = 0.35
"""The heaviest tail of importance weights that are used: with a heavier one, their mean depends on rare draws."""
REACHES = ((1.0, 3.0, False), (1.0, 1.0, True), (1.0, 0.3, False), (0.5, 0.3, False), (0.2, 0.3, True))
"""Factors of the parameters, standard deviations of the features, and whether the sampler is in training mode.

A sampler keeps its promises for any parameters, in both modes; some of these posteriors are far from the prior.
"""


class Drawn(NamedTuple):
    """Draws from the posteriors of some data."""

    z: Tensor
    """(N, B, D)"""
    kl: Tensor | None
    """(B, G), or (N, B, G) of each draw"""
    log_ratio: Tensor | None
    """(N, B)"""
    prior: Tensor | None
    """(N, D); None without a prior"""

    @property
    def columns(self) -> Tensor:
        """The KL of each group of dimensions, (B, G): where it is one of each draw, its mean."""
        assert self.kl is not None
        return self.kl.mean(0) if self.kl.ndim == 3 else self.kl

    @property
    def total_kl(self) -> Tensor:
        """The KL, (B,)."""
        return self.columns.sum(1)


def _drawn(subject: Subject) -> Iterator[Drawn]:
    for factor, spread, training in REACHES:
        for case in subject.cases():
            with torch.no_grad():
                for parameter in case.part.train(training).parameters():
                    parameter.mul_(factor)
                latent = case.posterior(2, DRAWS, spread)
                prior = case.part.prior(DRAWS).flatten(1) if case.part.has_prior else None
            yield Drawn(latent.z.flatten(2), latent.kl, latent.log_ratio, prior)


def _weighted(subject: Subject) -> Iterator[tuple[Drawn, int, Tensor]]:
    """Draws, the number of a datum, and the weights p/q of its draws (N,), if these are even enough to average."""
    usable = False
    if subject.component.support == "codes":
        raise NotApplicable("its posterior is a point mass, whose draws are not all of the prior's codes")
    for drawn in _drawn(subject):
        if drawn.log_ratio is None:
            raise NotApplicable("it has no log_ratio")
        for datum in range(drawn.z.shape[1]):
            log_weights = -drawn.log_ratio[:, datum]
            if tail(log_weights) < HEAVY:
                usable = True
                yield drawn, datum, log_weights.exp()
    if not usable:
        raise NotApplicable("its posteriors lie too far from the prior to weight their draws")


@promise(Sampler, after=("shapes", "independent draws"))
def log_ratio(subject: Subject) -> None:
    """The mean of p(z)/q(z) over draws from q is 1: the density is that of the draws."""
    for _, _, weights in _weighted(subject):
        require(
            not off(weights, torch.ones(())),
            f"the mean of p(z)/q(z) = exp(-log_ratio) over {DRAWS:,} draws from q is {weights.mean():.3f}, and has to "
            "be 1: log_ratio is log q(z|x) - log p(z) in nats, summed over the dimensions, of the q that is drawn "
            "from; check its sign, log-variance against variance and standard deviation, and its constants",
        )


@promise(Sampler, after=("shapes", "log ratio"))
def prior(subject: Subject) -> None:
    """Draws from `prior` have the first two moments of the p(z) that log_ratio measures against."""
    for drawn, datum, weights in _weighted(subject):
        if drawn.prior is None:
            raise NotApplicable("has_prior is False")
        for power in (1, 2):
            values, direct = weights.unsqueeze(1) * drawn.z[:, datum].pow(power), drawn.prior.pow(power)
            require(
                not off(values, direct.mean(0), direct.std(0) / DRAWS**0.5),
                f"the mean of z**{power} is {direct.mean():.3f} over draws of `prior`, and {values.mean():.3f} under "
                "the p(z) that log_ratio measures against: they are two priors",
            )


@promise(Sampler, after=("shapes", "log ratio", "prior", "mean for any draws"))
def kl(subject: Subject) -> None:
    """The KL is the mean of log_ratio over draws from q."""
    for drawn in _drawn(subject):
        if drawn.kl is not None:
            least = float(drawn.total_kl.min())
            require(
                least > -ROUNDING,
                f"the KL is {least:.4f} nats, and no KL is below 0: check its sign and its constants (where it is "
                "below 0 for all data, its sign is wrong)",
            )
        if drawn.kl is None or drawn.log_ratio is None:
            raise NotApplicable("it has no KL" if drawn.kl is None else "it has no log_ratio to average")
        total, estimate = drawn.total_kl, drawn.log_ratio.mean(0)
        constant = "; it is 0 whatever the features: something clamps it" if not total.any() else ""
        sign = "; its sign is wrong" if bool((total < 0).all()) else ""
        require(
            not off(drawn.log_ratio - drawn.kl.sum(-1) + total, total),
            f"the KL is {total[0]:.4f} nats, and the mean of log q - log p over {DRAWS:,} draws {estimate[0]:.4f}"
            f"{constant}{sign}: check its sign, log-variance against variance and standard deviation, sums over the "
            "dimensions (no mean), and that nothing clamps it",
        )


@promise(Sampler, after=("shapes", "log ratio", "prior", "kl"))
def torch_distributions(subject: Subject) -> None:
    """Where posterior and prior are Gaussian, KL and log-ratio are those of torch.distributions, column by column."""
    applies = False
    for drawn in _drawn(subject):
        for datum in range(drawn.z.shape[1]):
            z = drawn.z[:, datum].double()
            if drawn.prior is not None and is_gaussian(z) and is_gaussian(drawn.prior):
                applies = True
                _compare(drawn, datum, z, drawn.prior.double())
    if not applies:
        raise NotApplicable("its posterior and its prior are not both Gaussian")


def _compare(drawn: Drawn, datum: int, z: Tensor, prior: Tensor) -> None:
    q, p = fitted(z), fitted(prior)
    wanted = torch.distributions.kl_divergence(q, p)
    normal, standard = (torch.distributions.Normal(draws.mean(0), draws.std(0)) for draws in (z, prior))
    slack = ROUNDING * (1 + wanted.abs()) + SIGMAS * _error(normal, standard)
    if drawn.kl is not None:
        columns = drawn.columns[datum].double()
        require(
            abs(float(columns.sum() - wanted)) < float(slack.sum()) + z.shape[1] ** 2 / DRAWS,  # of the covariance
            f"the KL is {columns.sum():.3f} nats, and between Gaussians of the moments of its draws {wanted:.3f}",
        )
        if len(columns) == z.shape[1] > 1 and _factorizes(z):
            each = torch.distributions.kl_divergence(normal, standard)
            require(
                ((columns - each).abs() < slack).all(),
                "the columns of the KL are not those of the dimensions: give one column per dimension, or (B, 1)",
            )
    if drawn.log_ratio is not None:
        gap = (drawn.log_ratio[:, datum].double() - q.log_prob(z) + p.log_prob(z)).abs().median()
        moved, ratio = ((normal.mean - standard.mean) / standard.stddev).square(), normal.variance / standard.variance
        chance = SIGMAS * ((1 + moved + ratio).norm() + z.shape[1]) / DRAWS**0.5
        require(gap < chance, f"log_ratio is {gap:.3f} nats off torch.distributions in the median of its draws")


def _error(q: torch.distributions.Normal, p: torch.distributions.Normal) -> Tensor:
    """The standard errors (D,) of KLs between Gaussians whose moments are estimates from draws."""
    moved, ratio = (q.mean - p.mean) / p.stddev, q.variance / p.variance
    of_means = moved.square() * (1 + ratio)
    of_variances = ((ratio - 1) / 2).square() * 2 + ((moved.square() + ratio - 1) / 2).square() * 2
    error: Tensor = (of_means + of_variances).sqrt() / DRAWS**0.5
    return error


def _factorizes(z: Tensor) -> bool:
    correlations = torch.corrcoef(z.T) - torch.eye(z.shape[1], dtype=z.dtype)
    return bool(correlations.abs().max() < 0.05)
