from __future__ import annotations

import math
from typing import ClassVar, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genkit import batch_mean, gather, normal
from genkit.interfaces import LearnedLoss, Loss


class Reconstruction(Loss):
    """-log p(x|z)."""

    class Config(Loss.Config):
        name: Literal["of-test"] = "of-test"

    def forward(self, forward):
        return -forward.log_prob.mean(0)


class Divergence(Reconstruction):
    """The KL."""

    needs = ("encoder", "kl")

    def forward(self, forward):
        return forward.latent.kl.sum(1)


class ImportanceWeighted(Reconstruction):
    """-log mean p(x, z) / q(z|x), over five draws."""

    needs = ("encoder", "log_ratio")
    draws = 5

    def forward(self, forward):
        weights = forward.log_prob - forward.latent.log_ratio
        return math.log(len(weights)) - torch.logsumexp(weights, 0)


class SummedOverDraws(Reconstruction):
    """Sums over the draws."""

    def forward(self, forward):
        return -forward.log_prob.sum(0)


class OneDraw(Reconstruction):
    """Takes it that there is one draw."""

    def forward(self, forward):
        return -forward.log_prob.squeeze(0)


class ReadsTheKL(Reconstruction):
    """Does not say what it needs."""

    def forward(self, forward):
        return super().forward(forward) + 4 * forward.latent.kl.sum(1)


class SilentStatistic(Reconstruction):
    """The mean over the batch, which it does not say."""

    def forward(self, forward):
        return batch_mean(-forward.log_prob.mean(0))


class SummedOverBatch(Reconstruction):
    """Sums over the batch."""

    over = "batch"

    def forward(self, forward):
        return super().forward(forward).sum()


class MeanOverPixels(Reconstruction):
    """Averages over the values of a datum."""

    def forward(self, forward):
        return (forward.params[0] - forward.x).square().flatten(1).mean(1)


class MeanOverHeight(Reconstruction):
    """Averages over one axis of a datum."""

    def forward(self, forward):
        return (forward.params[0] - forward.x).square().mean(-1).reshape(len(forward.x), -1).sum(1)


class MeanOverDimensions(Reconstruction):
    """Averages the KL over the latent dimensions."""

    needs = ("encoder", "kl")

    def forward(self, forward):
        return forward.latent.kl.mean(1)


class Likelier(Reconstruction):
    """Is log p(x|z), with the wrong sign."""

    def forward(self, forward):
        return forward.log_prob.mean(0)


class LikelierByParams(Reconstruction):
    """Is the negative squared error."""

    def forward(self, forward):
        return -(forward.params[0] - forward.x).square().flatten(1).sum(1)


class Rewarded(Reconstruction):
    """Rewards the KL."""

    needs = ("encoder", "kl")

    def forward(self, forward):
        return super().forward(forward) - forward.latent.kl.sum(1)


class CutOff(Reconstruction):
    """Lets no gradient through."""

    def forward(self, forward):
        return super().forward(forward).detach()


class EachDraw(Reconstruction):
    """Gives a value a draw."""

    def forward(self, forward):
        return -forward.log_prob


class AsNumber(Reconstruction):
    """Gives a number of Python."""

    def forward(self, forward):
        return float(-forward.log_prob.detach().mean())


class CountsCalls(Reconstruction):
    """Grows from call to call."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.calls = 0

    def forward(self, forward):
        self.calls += 1
        return super().forward(forward) * self.calls


class SumsInTraining(Reconstruction):
    """Sums over the batch in training."""

    over = "batch"

    def forward(self, forward):
        term = super().forward(forward)
        return term.sum() if self.training else term


class MeansInTraining(Reconstruction):
    """Averages over the values in training."""

    def forward(self, forward):
        return super().forward(forward) / (forward.x[0].numel() if self.training else 1)


class WeighsItself(Reconstruction):
    """Multiplies by its weight, as the core does."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.factor = config.weight

    def forward(self, forward):
        return super().forward(forward) * self.factor


class Discrepancy(Reconstruction):
    """The maximum mean discrepancy of codes and draws from the prior (Tolstikhin et al. 2018, arXiv:1711.01558)."""

    over = "batch"

    expected_failures: ClassVar = {
        "batch size": "the pairs of a draw with itself weigh less in a larger batch",
        "shared batch": "each process pairs its own data alone",
    }

    def forward(self, forward):
        codes = forward.latent.z.flatten(0, 1)
        drawn = normal(*forward.latent.z[0].shape, batch=0, like=forward.latent.z)
        return self.kernel(codes, codes) + self.kernel(drawn, drawn) - 2 * self.kernel(codes, drawn)

    def kernel(self, one, other):
        return torch.exp(-(one.unsqueeze(0) - other.unsqueeze(1)).square().sum(-1) / 2).mean()


class Noisy(Reconstruction):
    """Adds noise by torch to the codes that it penalizes."""

    expected_failures: ClassVar = {"batch size": "more data have other noise"}

    def forward(self, forward):
        codes = forward.latent.mean + torch.randn_like(forward.latent.mean)
        return super().forward(forward) + codes.square().sum(1)


class NoisyTogether(Reconstruction):
    """The same with the noise of the whole batch."""

    expected_failures: ClassVar = {"batch size": "more data have other noise"}

    def forward(self, forward):
        mean = forward.latent.mean
        codes = mean + normal(*mean.shape, batch=0, like=mean)
        return super().forward(forward) + codes.square().sum(1)


class FreeBits(Reconstruction):
    """Clamps the mean of the KL over its own rows."""

    over = "batch"

    needs = ("encoder", "kl")

    def forward(self, forward):
        return forward.latent.kl.mean(0).clamp_min(0.02).sum()


class FreeBitsTogether(FreeBits):
    """The same over the whole batch."""

    def forward(self, forward):
        return batch_mean(forward.latent.kl).clamp_min(0.02).sum()


class Averaged(Reconstruction):
    """A mean over its own rows, which weighs a datum of a smaller share more."""

    over = "batch"

    def forward(self, forward):
        return super().forward(forward).mean()


class Crowded(Reconstruction):
    """Compares each draw with those of its own rows."""

    def others(self, z):
        return z

    def forward(self, forward):
        z = forward.latent.z
        away = (z.unsqueeze(2) - self.others(z).unsqueeze(1)).square().flatten(3).sum(3)
        return torch.exp(-away).mean((0, 2))


class CrowdedTogether(Crowded):
    """Compares it with those of the whole batch."""

    def others(self, z):
        return gather(z, batch=1)


class GathersDraws(Crowded):
    """Takes the draws for the data."""

    def others(self, z):
        return gather(z)


class AsksWhereTheDataAreDark(Reconstruction):
    """Asks for a mean over the batch where its own rows say so."""

    over = "batch"

    def forward(self, forward):
        term = super().forward(forward)
        return batch_mean(term) if len(term) == 2 else term.mean()


class Shrinks(Reconstruction):
    """Changes the pass."""

    def forward(self, forward):
        forward.latent.mean.mul_(0.5)
        return super().forward(forward)


class Critic(LearnedLoss):
    """A linear critic."""

    needs = ("generated",)

    class Config(LearnedLoss.Config):
        name: Literal["of-test"] = "of-test"

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.critic = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 1))

    def judge(self, x):
        return self.critic(x).squeeze(1)

    def forward(self, forward):
        return F.softplus(-self.judge(forward.generated))

    def critic_loss(self, forward):
        return F.softplus(-self.judge(forward.x)) + F.softplus(self.judge(forward.generated))


class Blind(Critic):
    """Lets no gradient back to the generator."""

    def forward(self, forward):
        return F.softplus(-self.judge(forward.generated.detach()))


class OwnNoise(Critic):
    """Shows its critic noisy data, by torch."""

    def critic_loss(self, forward):
        return F.softplus(-self.judge(forward.x + torch.randn_like(forward.x))) + self.judge(forward.generated)


class Idle(Critic):
    """Has a critic that learns nothing."""

    def critic_loss(self, forward):
        with torch.no_grad():
            return super().critic_loss(forward)


class NothingToLearn(Critic):
    """Has no parameters."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.critic = nn.Flatten()

    def judge(self, x):
        return self.critic(x).sum(1)


class HalfIdle(Critic):
    """Has a layer that the critic's loss does not reach."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.more = nn.Linear(2, 2)


class EachPixel(Critic):
    """Gives the critic's loss a value."""

    def critic_loss(self, forward):
        return super().critic_loss(forward).unsqueeze(1).expand(-1, 3)


WRONG = [
    (SummedOverDraws, "any draws", "where each draw is there twice"),
    (OneDraw, "any draws", "fails where another term asks for more draws"),
    (ReadsTheKL, "needs", "add 'kl' to needs"),
    (SilentStatistic, "over", "set `over` to 'batch'"),
    (SummedOverBatch, "batch size", "it is summed over the batch, which the core averages over"),
    (MeanOverPixels, "nats per datum", "it is a mean over the values, and must be in nats per datum"),
    (MeanOverHeight, "nats per datum", "sum over them"),
    (MeanOverDimensions, "nats per datum", "it is a mean over the values"),
    (Likelier, "sign", "minimising the term makes the data less likely: its sign is wrong"),
    (LikelierByParams, "sign", "makes the data less likely"),
    (Rewarded, "sign", "minimising the term makes kl larger"),
    (CutOff, "gradients reach the model", "it trains nothing"),
    (EachDraw, "shapes", "the term is (1, 1) for 1 data, and must be (1,), one value per datum, or ()"),
    (AsNumber, "shapes", "the term is float: it must be a tensor"),
    (CountsCalls, "eval determinism", "two calls give different values"),
    (SumsInTraining, "batch size", "it is summed over the batch"),
    (MeansInTraining, "nats per datum", "it is a mean over the values"),
    (WeighsItself, "weight", "leave config.weight alone"),
    (Shrinks, "input is kept", "it changes its input in place"),
    (Blind, "gradients reach the model", "no gradient goes from the term back to the model"),
    (Idle, "critic loss", "no gradient goes from critic_loss to its parameters"),
    (NothingToLearn, "critic loss", "derive it from Loss, not from LearnedLoss"),
    (HalfIdle, "critic loss", "no gradient of critic_loss reaches more.weight, more.bias"),
    (Noisy, "shared batch", "genkit.normal(*x.shape, batch=0, like=x), not from torch.randn"),
    (OwnNoise, "shared batch", "where processes share a batch, critic_loss is another"),
    (FreeBits, "shared batch", "take means over a batch from genkit.batch_mean"),
    (Crowded, "shared batch", "as in a term over pairs, from genkit.gather"),
    (GathersDraws, "shared batch", "genkit.gather takes one row for each datum of this process"),
    (Averaged, "shared batch", "take means over a batch from genkit.batch_mean"),
    (
        AsksWhereTheDataAreDark,
        "shared batch",
        "call genkit.batch_mean and genkit.gather whatever the data are",
    ),
    (EachPixel, "critic loss", "critic_loss is (1, 3) for 1 data"),
]


@pytest.mark.parametrize(
    "component",
    [
        Reconstruction,
        Divergence,
        ImportanceWeighted,
        Discrepancy,
        NoisyTogether,
        FreeBitsTogether,
        CrowdedTogether,
        Critic,
    ],
)
def test_a_right_term_passes(failures, component):
    assert failures(component) == {}


@pytest.mark.parametrize(("component", "caught", "words"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_term_is_caught_by_the_check_that_should(failures, component, caught, words):
    found = failures(component, without=["compiled"])  # half of the time, and nothing of what is wrong here
    assert list(found) == [caught]
    assert words in found[caught]
