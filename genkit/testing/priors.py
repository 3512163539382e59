"""Checks of priors: the density is that of the draws.

N draws, D latent dimensions.
"""

from __future__ import annotations

import torch

from genkit.interfaces import FittedPrior, Prior
from genkit.testing.cases import PriorCase
from genkit.testing.check import promise
from genkit.testing.estimates import DRAWS, fitted, off, tail
from genkit.testing.subject import NotApplicable, Subject, close, require, seeded

NARROWER = 0.7
"""The factor by which the reference is narrower than the draws, so that the prior's tails are not asked for."""
HEAVY = 0.35
"""The heaviest tail of weights whose mean can be trusted."""


def settled(case: PriorCase) -> None:
    """Fit a prior that is fitted after training, to latents of two clusters."""
    if isinstance(case.part, FittedPrior):
        z = case.latents(500, seed=int(torch.randint(1000, ())))
        if case.part.support == "reals":
            z[::2] = z[::2] / 2 + 2
        case.part.fit(z)
        case.part.is_fitted.fill_(1.0)


@promise(Prior, after=("signatures",))
def shapes(subject: Subject) -> None:
    """sample (n, *latent_shape), log_prob (..., *latent_shape) -> (...), before and after a fit."""
    for case in subject.cases():
        for again in (False, True):
            if again:
                settled(case)
            for leading in ((5,), (1,), (3, 5)):
                log_prob = case.part.log_prob(case.latents(*leading))
                what = f"log_prob of z {(*leading, *case.shape)} is {tuple(log_prob.shape)}, and must be {leading}"
                require(tuple(log_prob.shape) == leading, what)
                require(log_prob.dtype == torch.float32, f"log_prob is {log_prob.dtype} for float32")
                require(log_prob.isfinite().all(), "log_prob is not finite for z near 0")
            for count in (0, 1, 5):
                z = case.part.sample(count)
                wanted = (count, *case.shape)
                require(tuple(z.shape) == wanted, f"sample({count}) is {tuple(z.shape)}, and must be {wanted}")
                require(z.dtype == torch.float32, f"sample gives {z.dtype}, and must give float32")


@promise(Prior, after=("shapes",))
@torch.no_grad()
def density(subject: Subject) -> None:
    """The mean of r(z)/p(z) over draws from p is 1, for a Gaussian r near the draws: the density is normalized."""
    usable = False
    for case in subject.cases():
        if case.part.support != "reals":
            raise NotApplicable(f"its support is {case.part.support}, on which no Gaussian lies")
        settled(case)
        with seeded(1):
            z = case.part.sample(DRAWS)
        flat = z.flatten(1)
        reference = fitted(flat)
        narrow = torch.distributions.MultivariateNormal(reference.mean, reference.covariance_matrix * NARROWER)
        log_weights = narrow.log_prob(flat) - case.part.log_prob(z)
        if tail(log_weights) >= HEAVY:
            continue
        usable = True
        weights = log_weights.exp()
        require(
            not off(weights, torch.tensor(1.0)),
            f"the mean of r(z)/p(z) over its own draws is {float(weights.mean()):.3f} where a density has 1: log_prob "
            "and sample are of two distributions, or a constant is missing",
        )
    if not usable:
        raise NotApplicable("its density is too far from a Gaussian for this check")


@promise(Prior, after=("shapes",))
@torch.no_grad()
def draws(subject: Subject) -> None:
    """Draws differ from each other and from call to call, and the same seed repeats them."""
    for case in subject.cases():
        settled(case)
        with seeded(2):
            one, other = case.part.sample(4), case.part.sample(4)
        with seeded(2):
            again = case.part.sample(4)
        require(not close(one[0], one[1]), "two draws of one call are the same")
        require(not close(one, other), "two calls draw the same: take the noise from genkit.normal or genkit.uniform")
        require(torch.equal(one, again), "the same seed gives other draws: take them from torch's random state")


@promise(Prior, after=("shapes",))
def fit(subject: Subject) -> None:
    """A fit repeats with the seed, changes no shape, and is kept in the state of the part."""
    if not issubclass(subject.component, FittedPrior):
        raise NotApplicable("it is not fitted after training")
    for one, other, fresh in zip(subject.cases(), subject.cases(), subject.cases(), strict=True):
        before = {name: value.shape for name, value in one.part.state_dict().items()}
        for case in (one, other):
            with seeded(3):
                settled(case)
        state = one.part.state_dict()
        require({name: value.shape for name, value in state.items()} == before, "a fit changes the shape of a tensor")
        same = all(torch.equal(value, other.part.state_dict()[name]) for name, value in state.items())
        require(same, "two fits with the same seed differ: draw from torch's or numpy's random state alone")
        fresh.part.load_state_dict(state)
        z = one.latents(5)
        require(torch.equal(fresh.part.log_prob(z), one.part.log_prob(z)), "a part of the fit is not in its buffers")
