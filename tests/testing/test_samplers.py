from __future__ import annotations

import math
from typing import Annotated, Literal

import pytest
import torch
from pydantic import Field
from torch import nn

from genkit import batch_mean, normal, uniform
from genkit.interfaces import DensitySampler, Latent, Sampler


class Good(Sampler):
    """q(z|x) = N(mean, diag exp(log_var)), p(z) = N(0, I)."""

    class Config(Sampler.Config):
        name: Literal["of-test"] = "of-test"
        latent: Annotated[int, Field(ge=1, description="dimensions")] = 3

    def __init__(self, config, features):
        super().__init__(config, features)
        self.latent_shape = (config.latent,)
        self.heads = nn.Linear(math.prod(features or ()), 2 * config.latent)
        self.register_buffer("origin", torch.zeros(()), persistent=False)

    def forward(self, features, draws=1):
        mean, log_var = self.heads(features.flatten(1)).chunk(2, 1)
        eps = self.noise(draws, mean)
        z = self.drawn(mean, log_var, eps)
        return Latent(z, self.stated(mean, z), self.kl(mean, log_var), self.log_ratio(z, mean, log_var, eps))

    def noise(self, draws, mean):
        return normal(draws, *mean.shape, batch=1, like=mean)

    def drawn(self, mean, log_var, eps):
        return mean + torch.exp(log_var / 2) * eps

    def stated(self, mean, z):
        return mean

    def kl(self, mean, log_var):
        return (mean.square() + log_var.exp() - 1 - log_var) / 2

    def log_ratio(self, z, mean, log_var, eps):
        return (z.square() - eps.square() - log_var).sum(-1) / 2

    def prior(self, n):
        return normal(n, *self.latent_shape, batch=0, like=self.origin)


class WrongSign(Good):
    """Has the KL with the wrong sign."""

    def kl(self, mean, log_var):
        return -super().kl(mean, log_var)


class MeanOverDimensions(Good):
    """Averages the KL over the dimensions."""

    def kl(self, mean, log_var):
        return super().kl(mean, log_var).mean(1, keepdim=True)


class Clamped(Good):
    """Clamps the KL to zero, as PyOD's VAE once did."""

    def kl(self, mean, log_var):
        return super().kl(mean, log_var).clamp(0, 0)


class SigmaForLogVariance(Good):
    """Draws with exp(log_var) as the standard deviation."""

    def drawn(self, mean, log_var, eps):
        return mean + torch.exp(log_var) * eps


class SigmaInTheKL(SigmaForLogVariance):
    """The same, and the density with it, but not the KL."""

    def log_ratio(self, z, mean, log_var, eps):
        return super().log_ratio(z, mean, 2 * log_var, eps)


class RatioSign(Good):
    """Gives log p - log q."""

    def log_ratio(self, z, mean, log_var, eps):
        return -super().log_ratio(z, mean, log_var, eps)


class NoRatio(Good):
    """Gives zeros for the log-ratio."""

    def log_ratio(self, z, mean, log_var, eps):
        return 0 * super().log_ratio(z, mean, log_var, eps)


class OtherPrior(Good):
    """Draws from N(0, 4 I), and measures against N(0, I)."""

    def prior(self, n):
        return 2 * super().prior(n)


class Columns(Good):
    """Mixes up the columns of the KL."""

    def kl(self, mean, log_var):
        return super().kl(mean, log_var).flip(1)


class Draws(Good):
    """Gives a draw for the mean."""

    def stated(self, mean, z):
        return mean + torch.randn_like(mean)


class DrawsForNone(Good):
    """Draws random numbers for 0 draws."""

    def noise(self, draws, mean):
        return super().noise(max(draws, 1), mean)[:draws]


class MeanOfDraws(Good):
    """Averages the draws for the mean, where there are some."""

    def stated(self, mean, z):
        return z.mean(0) if len(z) else mean


class Detached(Good):
    """Lets no gradient through the draws."""

    def drawn(self, mean, log_var, eps):
        return super().drawn(mean, log_var, eps).detach()


class HalfDetached(Good):
    """Lets the gradient through the mean alone."""

    def drawn(self, mean, log_var, eps):
        return super().drawn(mean, log_var.detach(), eps)


class SharedNoise(Good):
    """Draws one noise for the whole batch."""

    def noise(self, draws, mean):
        return super().noise(draws, mean[:1]).expand(draws, *mean.shape)


class RepeatedNoise(Good):
    """Draws once for all K."""

    def noise(self, draws, mean):
        return super().noise(1, mean).expand(draws, *mean.shape) if draws else super().noise(0, mean)


class Bounded(Good):
    """States bounds that it does not keep."""

    bounds = (0.0, 1.0)


class SaysNoPrior(Good):
    """Says that it has no prior, and draws from it."""

    has_prior = False


class FlatKL(Good):
    """Sums the KL to (B,)."""

    def kl(self, mean, log_var):
        return super().kl(mean, log_var).sum(1)


class NeedsAnEncoder(Good):
    """Cannot be built without features."""

    def __init__(self, config, features):
        super().__init__(config, features)
        self.width = len(features)


class FixedPrior(Good):
    """Seeds its prior at every call."""

    def prior(self, n):
        fixed = torch.randn(n, *self.latent_shape, generator=torch.Generator().manual_seed(0))
        return fixed.to(self.origin.device)


class MeanIsLogVariance(Good):
    """Takes the wrong half of its heads for the mean."""

    def forward(self, features, draws=1):
        latent = super().forward(features, draws)
        return latent._replace(mean=self.heads(features.flatten(1)).chunk(2, 1)[1])


class QuietInEval(Good):
    """Draws in training mode alone, and gives no density."""

    def noise(self, draws, mean):
        eps = super().noise(draws, mean)
        return eps if self.training else torch.zeros_like(eps)

    def log_ratio(self, z, mean, log_var, eps):
        return None


class NoiseBank(Good):
    """Takes its noise from a buffer."""

    def __init__(self, config, features):
        super().__init__(config, features)
        self.register_buffer("bank", torch.randn(200_000))

    def noise(self, draws, mean):
        count = draws * mean.numel()
        bank = self.bank.repeat(1 + count // len(self.bank))
        return bank[:count].reshape(draws, *mean.shape).to(mean)


class PriorOnTheCPU(Good):
    """Draws its prior where the model is not."""

    def prior(self, n):
        return torch.randn(n, *self.latent_shape)


class EstimatedKL(Good):
    """Estimates the KL from its draws."""

    def forward(self, features, draws=1):
        latent = super().forward(features, draws)
        estimate = super().forward(features, 4).log_ratio.mean(0) if draws else latent.kl.sum(1)
        return latent._replace(kl=estimate.unsqueeze(1))


class LightInTraining(Good):
    """Has a tenth of the KL in training."""

    def kl(self, mean, log_var):
        return super().kl(mean, log_var) * (0.1 if self.training else 1)


class Chained(Good):
    """The second half of the dimensions depends on the draws of the first, and so does its KL, one of each draw."""

    factor = 1.0

    def __init__(self, config, features):
        super().__init__(config, features)
        self.latent_shape = (2 * config.latent,)
        self.link = nn.Linear(config.latent, config.latent)

    def forward(self, features, draws=1):
        mean, log_var = self.heads(features.flatten(1)).chunk(2, 1)
        eps = normal(draws, mean.shape[0], 2 * mean.shape[1], batch=1, like=mean).chunk(2, -1)
        first = self.drawn(mean, log_var, eps[0])
        second = self.link(first) + torch.exp(log_var / 2) * eps[1]
        of_second = (self.link(first).square() + log_var.exp() - 1 - log_var).sum(-1) / 2
        kl = torch.stack([super().kl(mean, log_var).sum(1).expand(draws, -1), of_second * self.factor], -1)
        ratio = super().log_ratio(first, mean, log_var, eps[0]) + super().log_ratio(second, mean, log_var, eps[1])
        return Latent(torch.cat([first, second], -1), torch.cat([mean, self.link(mean)], -1), kl, ratio)


class HalfChained(Chained):
    """The same with half of the KL of the second half."""

    factor = 0.5


class NegativeCategorical(Good):
    """Has -KL of a categorical posterior, and no density."""

    def forward(self, features, draws=1):
        logits = self.heads(features.flatten(1))[:, : self.latent_shape[0]]
        kl = -(logits.softmax(1) * (logits.log_softmax(1) + math.log(logits.shape[1]))).sum(1, keepdim=True)
        noise = -torch.log(-torch.log(uniform(draws, *logits.shape, batch=1, like=logits)))
        return Latent((logits + noise).softmax(-1), logits.softmax(1), kl, None)

    def prior(self, n):
        chosen = (uniform(n, batch=0, like=self.origin) * self.latent_shape[0]).long()
        return torch.nn.functional.one_hot(chosen, self.latent_shape[0]).to(self.heads.weight)


class OnTheCircle(Good):
    """A point on the unit circle, of fixed length, by an angle with noise."""

    def __init__(self, config, features):
        super().__init__(config, features)
        self.latent_shape = (2,)

    def forward(self, features, draws=1):
        angle = self.heads(features.flatten(1))[:, 0]
        drawn = angle + 0.3 * normal(draws, *angle.shape, batch=1, like=angle)
        z, mean = (torch.stack([value.cos(), value.sin()], -1) for value in (drawn, angle))
        return Latent(z, mean, None, None)

    def prior(self, n):
        angle = 2 * math.pi * uniform(n, batch=0, like=self.origin)
        return torch.stack([angle.cos(), angle.sin()], -1)


class ZeroHeads(Good):
    """Starts from heads of 0."""

    def __init__(self, config, features):
        super().__init__(config, features)
        for parameter in self.heads.parameters():
            nn.init.zeros_(parameter)


class NormalizedHeads(Good):
    """Normalizes its means over the batch (Zhu et al. 2020, arXiv:2004.12585)."""

    def __init__(self, config, features):
        super().__init__(config, features)
        self.normal = nn.BatchNorm1d(config.latent)

    def forward(self, features, draws=1):
        mean, log_var = self.heads(features.flatten(1)).chunk(2, 1)
        mean = self.normal(mean)
        eps = self.noise(draws, mean)
        z = self.drawn(mean, log_var, eps)
        return Latent(z, mean, self.kl(mean, log_var), self.log_ratio(z, mean, log_var, eps))


class SeedsItself(Good):
    """Has the same weights in every run."""

    def __init__(self, config, features):
        torch.manual_seed(0)
        super().__init__(config, features)


class OwnNoise(Good):
    """Draws by torch, which gives every process the same numbers for other data."""

    def noise(self, draws, mean):
        return torch.randn(draws, *mean.shape, dtype=mean.dtype, device=mean.device)


class OwnPriorNoise(Good):
    """The same in its prior."""

    def prior(self, n):
        return torch.randn(n, *self.latent_shape, device=self.origin.device)


class CentredInTraining(Good):
    """Takes the mean over its own rows from its means in training."""

    def forward(self, features, draws=1):
        mean, log_var = self.heads(features.flatten(1)).chunk(2, 1)
        mean = mean - mean.mean(0) if self.training else mean
        eps = self.noise(draws, mean)
        z = self.drawn(mean, log_var, eps)
        return Latent(z, mean, self.kl(mean, log_var), self.log_ratio(z, mean, log_var, eps))


class CentredTogether(CentredInTraining):
    """The same over the whole batch."""

    def forward(self, features, draws=1):
        mean, log_var = self.heads(features.flatten(1)).chunk(2, 1)
        mean = mean - batch_mean(mean) if self.training else mean
        eps = self.noise(draws, mean)
        z = self.drawn(mean, log_var, eps)
        return Latent(z, mean, self.kl(mean, log_var), self.log_ratio(z, mean, log_var, eps))


MEAN = "`mean` is the point that stands for the datum, never a draw"


class Anywhere(Good, DensitySampler):
    """Gives its density at any point."""

    def forward(self, features, draws=1):
        latent = super().forward(features, draws)
        log_var = self.heads(features.flatten(1)).chunk(2, 1)[1]
        log_p = -(latent.z.square() + math.log(2 * math.pi)).sum(-1) / 2
        return latent._replace(log_q=latent.log_ratio + log_p, extra={"log_var": log_var})

    def log_q(self, z, mean, extra):
        return torch.distributions.Normal(mean, torch.exp(extra["log_var"] / 2)).log_prob(z)


class Elsewhere(Anywhere):
    """Leaves out the constant."""

    def log_q(self, z, mean, extra):
        return super().log_q(z, mean, extra) + math.log(2 * math.pi) / 2


class SummedDensity(Anywhere):
    """Sums over the dimensions."""

    def log_q(self, z, mean, extra):
        return super().log_q(z, mean, extra).sum(-1)


class OneDensityEach(Anywhere):
    """Takes it that there is a posterior for each point."""

    def log_q(self, z, mean, extra):
        return super().log_q(z, mean.expand(z.shape), extra)


class OwnDensity(Anywhere):
    """Takes each point with its own posterior, whatever the places of the two."""

    def log_q(self, z, mean, extra):
        if z.ndim > 3:
            mean, extra = mean.unsqueeze(1), {"log_var": extra["log_var"].unsqueeze(1)}
        return super().log_q(z, mean, extra)


class DensityAlone(Anywhere):
    """Gives no density of its draws."""

    def forward(self, features, draws=1):
        return super().forward(features, draws)._replace(log_q=None)


WRONG = [
    (Elsewhere, "density at any point", "both are log q(z|x) in nats"),
    (DensityAlone, "density at any point", "is not `Latent.log_q`, which a sampler that has log_q gives"),
    (SummedDensity, "density at any point", "log_q is (3, 5) for 3 draws of 5 data, and must be (3, 5, G)"),
    (OneDensityEach, "density at any point", "whose leading dimensions broadcast"),
    (OwnDensity, "density at any point", "from that of one posterior at a time"),
    (WrongSign, "kl", "its sign is wrong"),
    (MeanOverDimensions, "kl", "sums over the dimensions (no mean)"),
    (Clamped, "kl", "it is 0 whatever the features: something clamps it"),
    (SigmaForLogVariance, "log ratio", "log-variance against variance and standard deviation"),
    (SigmaInTheKL, "kl", "log-variance against variance and standard deviation"),
    (RatioSign, "log ratio", "check its sign"),
    (NoRatio, "prior", "they are two priors"),
    (OtherPrior, "prior", "over draws of `prior`, and"),
    (Columns, "torch distributions", "the columns of the KL are not those of the dimensions"),
    (Draws, "eval determinism", MEAN),
    (DrawsForNone, "eval determinism", "for 0 draws it draws random numbers"),
    (MeanOfDraws, "mean for any draws", "depends on the draws"),
    (Detached, "reparameterization", "rsample() in place of sample()"),
    (HalfDetached, "gradients", "cut off (detach"),
    (SharedNoise, "independent draws", "two data of one batch have a correlation of 1.00"),
    (RepeatedNoise, "independent draws", "genkit.normal(draws, *mean.shape, batch=1, like=mean)"),
    (Bounded, "mean for any draws", "leaves the bounds that it states, 0 to 1"),
    (FixedPrior, "prior alone", "the same draws at every call"),
    (SaysNoPrior, "prior alone", "has_prior is False, and features None passes"),
    (FlatKL, "shapes", "for 1 data and 0 draws kl is (1,), and must be (1, G), a column for each of G groups"),
    (HalfChained, "kl", "nats, and the mean of log q - log p"),
    (LightInTraining, "kl", "nats, and the mean of log q - log p"),
    (NegativeCategorical, "kl", "no KL is below 0: check its sign"),
    (MeanIsLogVariance, "mean of the draws", "it is the posterior mean"),
    (QuietInEval, "independent draws", "it draws only in training mode"),
    (NoiseBank, "independent draws", "two calls draw the same noise"),
    (PriorOnTheCPU, "second device", "what prior() draws stays on the CPU"),
    (EstimatedKL, "mean for any draws", "a KL that is only estimated from draws is None"),
    (SeedsItself, "seeds", "leave the seed to the run"),
    (NeedsAnEncoder, "prior alone", "TypeError"),
    (OwnNoise, "shared batch", "genkit.normal(draws, *mean.shape, batch=1, like=mean)"),
    (
        OwnPriorNoise,
        "shared batch",
        "what prior() draws is another than where one process has all of it",
    ),
    (CentredInTraining, "shared batch", "take means over a batch from genkit.batch_mean"),
]


def test_a_right_sampler_passes(failures):
    assert failures(Good) == {}
    assert failures(Good, Good.Config(latent=1)) == {}
    assert failures(Good, Good.Config(latent=16)) == {}


@pytest.mark.parametrize("component", [OnTheCircle, ZeroHeads, NormalizedHeads, CentredTogether, Anywhere, Chained])
def test_a_right_sampler_of_another_form_passes(failures, component):
    assert failures(component) == {}


@pytest.mark.parametrize(("component", "caught", "words"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_sampler_is_caught_by_the_check_that_should(failures, component, caught, words):
    found = failures(component, without=["compiled"])  # half of the time, and nothing of what is wrong here
    assert list(found) == [caught]
    assert words in found[caught]


class Uniform(Good):
    """q(z|x) uniform around the mean, in a box half as wide as the prior's, which has no KL in closed form."""

    def forward(self, features, draws=1):
        mean = torch.tanh(self.heads(features.flatten(1)).chunk(2, 1)[0]) / 2
        z = mean + torch.rand(draws, *mean.shape, dtype=mean.dtype, device=mean.device) - 0.5
        log_ratio = torch.full(z.shape[:2], math.log(2) * z.shape[2], dtype=z.dtype, device=z.device)
        return Latent(z, mean, None, log_ratio + 0 * z.sum(-1))

    def prior(self, n):
        return 2 * torch.rand(n, *self.latent_shape, device=self.origin.device) - 1


def test_where_weights_of_draws_say_that_the_posterior_misses_part_of_the_prior_that_is_said(failures):
    # p/q is 1/2 a dimension: the box of q holds a part of p only, and no estimate over q can see the rest
    assert "the mean of p(z)/q(z)" in failures(Uniform)["log ratio"]
