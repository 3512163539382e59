from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genkit.errors import ComponentError
from genkit.interfaces import Likelihood


class Good(Likelihood):
    """N(x; params, 1)."""

    class Config(Likelihood.Config):
        name: Literal["of-test"] = "of-test"

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.params_shape = shape

    def each(self, x, params):
        return -((x - params).square() + math.log(2 * math.pi)) / 2

    def log_prob(self, x, params):
        return self.each(x, params).flatten(2).sum(2)

    def mean(self, params):
        return params

    def sample(self, params):
        return params + torch.randn_like(params)


class Zeros(Good):
    """Bernoulli(x; sigmoid(params))."""

    support = (0.0, 1.0)

    def each(self, x, params):
        return x * params - F.softplus(params)

    def mean(self, params):
        return torch.sigmoid(params)

    def sample(self, params):
        return torch.bernoulli(torch.sigmoid(params))


class HeavyTails(Good):
    """Laplace(x; params, 1/2) truncated to nothing: sharp in the middle, wide at the ends."""

    def each(self, x, params):
        return -(x - params).abs() * 2

    def sample(self, params):
        return torch.distributions.Laplace(params, 0.5).sample()


class Levels(Good):
    """A softmax over four levels, 0, 1/3, 2/3 and 1."""

    support = (0.0, 1.0)

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.params_shape = (*shape, 4)

    def each(self, x, params):
        index = (x * 3).round().long().expand(params.shape[:-1]).unsqueeze(-1)
        return F.log_softmax(params, -1).gather(-1, index).squeeze(-1)

    def mean(self, params):
        return (F.softmax(params, -1) * torch.arange(4, device=params.device) / 3).sum(-1)

    def sample(self, params):
        return torch.distributions.Categorical(logits=params).sample().to(params.dtype) / 3


class LearnedScale(Good):
    """N(x; params, scale) with a scale that is learned."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.log_scale = nn.Parameter(torch.zeros(()))

    def each(self, x, params):
        return super().each(x * torch.exp(-self.log_scale), params * torch.exp(-self.log_scale)) - self.log_scale

    def sample(self, params):
        return params + torch.exp(self.log_scale) * torch.randn_like(params)


class NoConstant(Good):
    """Leaves the normalizing constant out."""

    def each(self, x, params):
        return -(x - params).square() / 2


class MeanOverPixels(Good):
    """Averages over the datum."""

    def log_prob(self, x, params):
        return self.each(x, params).flatten(2).mean(2)


class Squared(Good):
    """Gives the squared error for the log-density."""

    def each(self, x, params):
        return (x - params).square() / 2 - math.log(2 * math.pi) / 2


class NotTheMean(Good):
    """Gives something else for the mean."""

    def mean(self, params):
        return params + 0.3


class Mode(Zeros):
    """Gives the mode for the mean."""

    def mean(self, params):
        return (params > 0).to(params.dtype)


class LeavesSupport(Good):
    """Draws from a Gaussian, and says that values lie from 0 to 1."""

    support = (0.0, 1.0)


class Wide(Good):
    """Draws with twice the standard deviation of its density."""

    def sample(self, params):
        return params + 2 * torch.randn_like(params)


class Sharp(Good):
    """Draws nothing."""

    def sample(self, params):
        return params


class Overflows(Zeros):
    """Takes the logarithm of a probability."""

    def each(self, x, params):
        p = torch.sigmoid(params)
        return x * p.log() + (1 - x) * (1 - p).log()


class OverTheBatch(Good):
    """Sums over the batch too."""

    def log_prob(self, x, params):
        return self.each(x, params).flatten(1).sum(1)


class BatchScale(Good):
    """Subtracts the mean over the batch from the params."""

    def each(self, x, params):
        return super().each(x, params - params.mean(1, keepdim=True))


class OverTheDraws(Good):
    """Averages over the draws."""

    def log_prob(self, x, params):
        found = super().log_prob(x, params)
        return found.mean(0, keepdim=True).expand_as(found)


class FixedLeading(Good):
    """Takes params of (K, B, ...) alone for a sample."""

    def sample(self, params):
        draws, count = params.shape[0], params.shape[1]
        return super().sample(params).reshape(draws, count, *self.params_shape)


class FixedSamples(Good):
    """Seeds itself at every call."""

    def sample(self, params):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return super().sample(params)


class CannotLearn(Good):
    """Cuts the decoder off."""

    def each(self, x, params):
        return super().each(x, params.detach())

    def mean(self, params):
        return params.detach()


class ForEverything(Zeros):
    """States a support of which only 0 and 1 have a density."""

    support = (-math.inf, math.inf)


class OnTheCPU(Good):
    """Draws where the model is not."""

    def sample(self, params):
        return torch.randn(params.shape) if params.is_meta else super().sample(params)


class OneHot(Good):
    """One value of the last axis is 1."""

    support = (0.0, 1.0)

    def log_prob(self, x, params):
        return (x * params.log_softmax(-1)).flatten(2).sum(2)

    def mean(self, params):
        return params.softmax(-1)

    def sample(self, params):
        drawn = torch.distributions.OneHotCategorical(logits=params, validate_args=False).sample()
        return drawn.to(params)


class OneHotChannels(OneHot):
    """One of the channels is 1."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        if len(shape) != 3 or shape[0] == 1:
            raise ComponentError("images of two channels at least")

    def log_prob(self, x, params):
        return (x * params.log_softmax(-3)).flatten(2).sum(2)

    def mean(self, params):
        return params.softmax(-3)

    def sample(self, params):
        return super().sample(params.movedim(-3, -1)).movedim(-1, -3)


class Fractions(Good):
    """Says that it takes whole numbers, and draws others."""

    whole_numbers = True


WRONG = [
    (Fractions, "support", "sample gives fractions, and it says `whole_numbers`"),
    (ForEverything, "density", "state as support what has a density"),
    (OnTheCPU, "second device", "what sample() draws stays on the CPU"),
    (NoConstant, "density", "keep its normalizing constant"),
    (MeanOverPixels, "density", "sum log_prob over the datum (no mean)"),
    (Squared, "density", "mind its sign"),
    (NotTheMean, "mean", "`mean` is not the mean of what `sample` draws"),
    (Mode, "mean", "neither the mode nor a draw"),
    (LeavesSupport, "support", "outside its support 0 to 1"),
    (Wide, "samples", "another scale"),
    (Overflows, "support", "log_prob is not finite for params of 20"),
    (OverTheBatch, "shapes", "must be (K, B) = (1, 1)"),
    (BatchScale, "batch independence", "changes with the rest of its batch"),
    (OverTheDraws, "draws by themselves", "changes with the other draws"),
    (FixedLeading, "shapes", "sample is (5, 1, 1, 8, 8), and must be (5, 1, 8, 8)"),
    (FixedSamples, "new samples", "the same at every call"),
    (CannotLearn, "gradients reach the input", "what comes before it cannot learn"),
]


@pytest.mark.parametrize("component", [Good, Zeros, Levels, LearnedScale, HeavyTails, OneHot, OneHotChannels])
def test_a_right_likelihood_passes(failures, component):
    assert failures(component) == {}


@pytest.mark.parametrize(("component", "caught", "words"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_likelihood_is_caught_by_the_check_that_should(failures, component, caught, words):
    found = failures(component, without=["compiled"])  # half of the time, and nothing of what is wrong here
    assert list(found) == [caught]
    assert words in found[caught]


class LargeOnly(Good):
    """Takes images alone."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        if math.prod(shape) < 10:
            raise ComponentError("images of some size")


def test_a_density_over_large_data_alone_cannot_be_summed(failures):
    assert failures(LargeOnly) == {}
