from __future__ import annotations

import math
from typing import ClassVar, Literal

import pytest
import torch
from torch import nn

from genkit import normal, uniform
from genkit.errors import ComponentError
from genkit.interfaces import Decoder, Encoder, Latent, Likelihood, Loss, Prior, Sampler, Side
from genkit.testing import checks
from genkit_gan import Adversarial


class Labelled(Encoder):
    """Adds an embedding of the labels to a dense layer."""

    class Config(Encoder.Config):
        name: Literal["of-test"] = "of-test"

    reads = ("labels",)

    def __init__(self, config, shape, labels: Side):
        super().__init__(config, shape)
        self.out_shape = (4,)
        self.table = nn.Embedding(labels.classes, 4)
        self.dense = nn.Linear(math.prod(shape), 4)

    def forward(self, x, labels):
        return self.dense(x.flatten(1)).tanh() + self.embedded(labels)

    def embedded(self, labels):
        return self.table(labels)


class FirstForAll(Labelled):
    """Takes the label of the first datum for each datum."""

    def embedded(self, labels):
        return self.table(labels[:1])


class MeanOfAll(Labelled):
    """Takes the mean over the batch."""

    def embedded(self, labels):
        return self.table(labels).mean(0, keepdim=True)


class Deaf(Labelled):
    """Does not use the labels."""

    def embedded(self, labels):
        return self.table.weight.sum(0)


class ByValue(Labelled):
    """Decides by a value of the labels."""

    def embedded(self, labels):
        return self.table(labels) if int(labels.max()) < 2 else self.table(labels) + 0


class Scaled(Decoder):
    """Multiplies its output by a covariate."""

    class Config(Decoder.Config):
        name: Literal["of-test"] = "of-test"

    reads = ("size",)

    def __init__(self, config, latent_shape, out_shape, size: Side):
        super().__init__(config, latent_shape, out_shape)
        if size.classes is not None or size.shape:
            raise ComponentError("takes one number for each datum")
        self.out_shape = out_shape
        self.dense = nn.Linear(math.prod(latent_shape), math.prod(out_shape))

    def forward(self, z, size):
        return (self.dense(z.flatten(1)) * (1 + size).unsqueeze(1)).unflatten(1, self.out_shape)


class Shifted(Sampler):
    """q(z|x) = N(mean + shift of the label, diag exp(log_var)), p(z) = N(0, I)."""

    class Config(Sampler.Config):
        name: Literal["of-test"] = "of-test"

    reads = ("labels",)

    def __init__(self, config, features, labels: Side):
        super().__init__(config, features)
        self.latent_shape = (3,)
        self.heads = nn.Linear(math.prod(features or ()), 6)
        self.shift = nn.Embedding(labels.classes, 3)

    def forward(self, features, draws=1, *, labels):
        mean, log_var = self.heads(features.flatten(1)).chunk(2, 1)
        mean = mean + self.shift(labels) / 2
        eps = normal(draws, *mean.shape, batch=1, like=mean)
        z = mean + torch.exp(log_var / 2) * eps
        kl = (mean.square() + log_var.exp() - 1 - log_var) / 2
        return Latent(z, mean, kl, (z.square() - eps.square() - log_var).sum(-1) / 2)

    def prior(self, n):
        return normal(n, 3, batch=0, like=self.heads.weight)


class Masked(Likelihood):
    """N(x; params, I) of the values that the mask keeps; the others have the density of N(0, 1)."""

    class Config(Likelihood.Config):
        name: Literal["of-test"] = "of-test"

    reads = ("mask",)

    def __init__(self, config, shape, mask: Side):
        super().__init__(config, shape)
        assert mask.shape == shape
        self.params_shape = shape

    def log_prob(self, x, params, mask):
        return -((x - params * mask).square() / 2 + math.log(2 * math.pi) / 2).flatten(2).sum(2)

    def mean(self, params, mask):
        return params * mask

    def sample(self, params, mask):
        return params * mask + torch.randn_like(params)


class Weighted(Loss):
    """The reconstruction, weighted by a number of each datum."""

    class Config(Loss.Config):
        name: Literal["of-test"] = "of-test"

    reads = ("importance",)

    def __init__(self, config, shape, importance: Side):
        super().__init__(config, shape)

    def forward(self, forward, importance):
        return -forward.log_prob.mean(0) * importance


class Classes(Prior):
    """A mixture with a Gaussian for each class, which is told how many there are."""

    class Config(Prior.Config):
        name: Literal["of-test"] = "of-test"

    reads = ("labels",)

    def __init__(self, config, latent_shape, labels: Side):
        super().__init__(config, latent_shape)
        self.latent_shape = latent_shape
        self.means = nn.Parameter(torch.randn(labels.classes, *latent_shape) / 2)

    def log_prob(self, z):
        each = (z.unsqueeze(-1 - len(self.latent_shape)) - self.means).square() + math.log(2 * math.pi)
        return torch.logsumexp(each.flatten(z.ndim - len(self.latent_shape) + 1).sum(-1) / -2, -1) - math.log(3)

    def sample(self, n):
        classes = (uniform(n, batch=0, like=self.means) * len(self.means)).long()
        return self.means[classes] + normal(n, *self.latent_shape, batch=0, like=self.means)


def test_a_prior_is_told_what_side_data_hold_and_gets_none():
    results = [check.result() for check in checks(Classes)]
    assert [each for each in results if each.status == "FAILED"] == []
    assert "side data" not in {each.check for each in results}


def test_a_critic_that_reads_the_condition_is_checked_with_one():
    adversarial = {"component": Adversarial, "config": Adversarial.Config(critic="mlp")}
    wanted = {"weight", "critic loss", "together", "together compiled"}
    conditional = [each for each in checks(**adversarial, partners={"condition": "labels"}) if each.name in wanted]
    assert {each.name: each.result().status for each in conditional} == dict.fromkeys(wanted, "ok")


@pytest.mark.parametrize("component", [Labelled, Scaled, Shifted, Masked, Weighted])
def test_a_part_that_reads_side_data_keeps_the_whole_contract(component):
    results = {check.name: check.result() for check in checks(component)}
    assert {name: each for name, each in results.items() if each.status == "FAILED"} == {}
    assert results["side data"].status == results["compiled"].status == results["shared batch"].status == "ok"


@pytest.mark.parametrize(
    ("component", "failed", "said"),
    [
        (FirstForAll, "batch independence", "changes with the rest of its batch"),
        (MeanOfAll, "batch independence", "changes with the rest of its batch"),
        (Deaf, "side data", "it reads labels, and nothing that it gives follows that"),
        (ByValue, "compiled", "torch.compile cannot make one graph"),
    ],
)
def test_what_is_wrong_with_side_data_is_named(component, failed, said, failures):
    assert said in failures(component)[failed]


@pytest.mark.parametrize("component", [FirstForAll, MeanOfAll])
def test_a_leak_between_rows_of_side_data_is_named(component, failures):
    broken = failures(component, expected={"batch independence": "so that what builds on it is checked"})
    assert "what comes of a datum changes with the labels of another" in broken["side data"]


def test_side_data_can_be_stated_in_the_class_or_in_the_test(failures):
    class Steps(Labelled):
        """Reads the labels of 5 classes alone."""

        def __init__(self, config, shape, labels):
            assert labels == Side((), 5)
            super().__init__(config, shape, labels)

    assert "cannot be built" in failures(Steps)["shapes"]
    assert failures(Steps, side={"labels": Side((), 5)}) == {}
    Steps.checked_with = {"side": {"labels": Side((), 5)}}
    assert failures(Steps) == {}


def test_an_argument_of_the_class_that_there_is_not_is_refused_with_the_nearest():
    class Misspelt(Labelled):
        """Says what it is checked with."""

        checked_with = {"partner": {}}  # noqa: RUF012

    with pytest.raises(ComponentError, match=r"checked_with of Misspelt: 'partner'; did you mean 'partners'"):
        checks(Misspelt)


class CountsData(Loss):
    """The reconstruction of all training data, as a share of them; it draws from the prior."""

    class Config(Loss.Config):
        name: Literal["of-test"] = "of-test"

    needs = ("encoder", "prior")
    asks = ("training_data", "columns")
    checked_with: ClassVar[dict[str, object]] = {"partners": {"sampler": "gaussian"}}

    def __init__(self, config, shape, training_data, columns):
        super().__init__(config, shape)
        assert columns == ()
        self.count = training_data

    def attach(self, model):
        self.draw = model.draw

    def forward(self, forward):
        drawn = self.draw(forward.x.shape[0])
        return -forward.log_prob.mean(0) * (self.count / 100) + 0 * drawn.sum(1)


def test_a_part_gets_the_facts_that_it_asks_for_and_draws_from_the_prior():
    results = {check.name: check.result() for check in checks(CountsData)}
    assert {name: each for name, each in results.items() if each.status == "FAILED"} == {}
    assert results["together compiled"].status == results["shared batch"].status == "ok"
