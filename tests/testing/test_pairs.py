from __future__ import annotations

import math
from typing import Annotated, Literal

import pytest
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from genkit import normal, uniform
from genkit.errors import ComponentError
from genkit.interfaces import Encoder, Latent, Loss, Prior, Sampler
from genkit.testing import checks
from genkit_priors.normal import NormalPrior

WIDTH, CODES = 4, 5
STRAIGHT = "straight-through: the gradient is not the derivative"


class Commitment(Loss):
    """The commitment and codebook terms of a VQ-VAE (van den Oord et al. 2017, eq. 3)."""

    class Config(Loss.Config):
        name: Literal["of-test-commitment"] = "of-test-commitment"
        beta: Annotated[float, Field(gt=0, description="factor of the commitment")] = 0.25

    expected_failures = {"gradients": STRAIGHT}  # noqa: RUF012
    checked_with = {"partners": {"sampler": {"name": "of-test-codebook"}}}  # noqa: RUF012

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.beta = config.beta

    def forward(self, forward):
        before, code = forward.latent.extra["before"], forward.latent.extra["code"]
        return self.beta * (before - code.detach()).square().sum(1) + (code - before.detach()).square().sum(1)


class Codebook(Sampler):
    """The nearest of some codes, straight through."""

    class Config(Sampler.Config):
        name: Literal["of-test-codebook"] = "of-test-codebook"

    expected_failures = {"gradients": STRAIGHT}  # noqa: RUF012
    checked_with = {"partners": {"loss": Commitment}}  # noqa: RUF012

    def __init__(self, config, features):
        super().__init__(config, features)
        self.latent_shape = (WIDTH,)
        self.dense = nn.Linear(math.prod(features or ()), WIDTH)
        self.codes = nn.Parameter(torch.randn(CODES, WIDTH))

    def forward(self, features, draws=1):
        before = self.dense(features.flatten(1))
        nearest = torch.cdist(before, self.codes, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
        code = F.embedding(nearest, self.codes)
        z = before + (code - before).detach()
        return Latent(z.expand(draws, *z.shape), z, None, None, extra=self.extra(before, code, nearest))

    def extra(self, before, code, nearest):
        return {"before": before, "code": code, "nearest": nearest}

    def prior(self, n):
        index = (uniform(n, batch=0, like=self.codes) * CODES).long()
        return self.codes[index].detach()


class Idle(Codebook):
    """Has codes that neither its output nor a term reads."""

    def __init__(self, config, features):
        super().__init__(config, features)
        self.spare = nn.Parameter(torch.randn(CODES, WIDTH))


class OnSphere(Prior):
    """The uniform density on the unit sphere in three dimensions."""

    class Config(Prior.Config):
        name: Literal["of-test-sphere"] = "of-test-sphere"

    support = "sphere"
    checked_with = {"partners": {"sampler": "of-test-caps"}}  # noqa: RUF012
    area = 4 * math.pi

    def __init__(self, config, latent_shape):
        super().__init__(config, latent_shape)
        self.latent_shape = latent_shape
        self.register_buffer("origin", torch.zeros(()), persistent=False)

    def log_prob(self, z):
        return z.sum(-1) * 0 - math.log(self.area)

    def sample(self, n):
        return F.normalize(normal(n, *self.latent_shape, batch=0, like=self.origin), dim=-1)


class WrongArea(OnSphere):
    """Takes the area of a disc for that of the sphere."""

    area = math.pi


class Caps(Sampler):
    """q(z|x): projected normal-like draws around a direction, as a mixture of the sphere and its half."""

    class Config(Sampler.Config):
        name: Literal["of-test-caps"] = "of-test-caps"

    support = "sphere"

    def __init__(self, config, features):
        super().__init__(config, features)
        self.latent_shape = (3,)
        self.dense = nn.Linear(math.prod(features or ()), 3)

    def forward(self, features, draws=1):
        mean = F.normalize(self.dense(features.flatten(1)), dim=1)
        z = F.normalize(normal(draws, *mean.shape, batch=1, like=mean), dim=2)
        side = (z * mean).sum(-1, keepdim=True)
        turned = z * torch.where((side < 0) & (normal(draws, len(mean), 1, batch=1, like=mean) < 0), -1.0, 1.0)
        ahead = (turned * mean).sum(-1)
        log_q = torch.where(ahead > 0, math.log(1.5), math.log(0.5)) - math.log(4 * math.pi)
        return Latent(turned, mean, None, log_q + math.log(4 * math.pi), log_q)

    def prior(self, n):
        return F.normalize(normal(n, 3, batch=0, like=self.dense.weight), dim=-1)


class Narrow(Encoder):
    """Gives the two features that a sampler of its family reads."""

    class Config(Encoder.Config):
        name: Literal["of-test-narrow"] = "of-test-narrow"

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.out_shape = (2,)
        self.dense = nn.Linear(math.prod(shape), 2)

    def forward(self, x):
        return self.dense(x.flatten(1))


class Pair(Sampler):
    """q(z|x) = N(m, exp(s)), where (m, s) are the features themselves."""

    class Config(Sampler.Config):
        name: Literal["of-test-pair"] = "of-test-pair"

    def __init__(self, config, features):
        super().__init__(config, features)
        if features not in ((2,), None):
            raise ComponentError("takes two features, a mean and a logarithm of a variance")
        self.latent_shape = (1,)
        self.register_buffer("origin", torch.zeros(()), persistent=False)

    def forward(self, features, draws=1):
        mean, log_var = features.chunk(2, 1)
        eps = normal(draws, *mean.shape, batch=1, like=mean)
        z = mean + torch.exp(log_var / 2) * eps
        kl = (mean.square() + log_var.exp() - 1 - log_var) / 2
        return Latent(z, mean, kl, (z.square() - eps.square() - log_var).sum(-1) / 2)

    def prior(self, n):
        return normal(n, 1, batch=0, like=self.origin)


@pytest.fixture(autouse=True)
def registered():
    from genkit.registry.registry import registry

    with registry().registered_within(Codebook, Caps):
        yield


PAIRS = {"together", "together saved and alone", "together compiled"}


@pytest.mark.parametrize(
    ("component", "arguments"),
    [
        (Codebook, {}),
        (Commitment, {}),
        (OnSphere, {}),
        (Narrow, {"partners": {"sampler": Pair}}),
        (Pair, {"partners": {"encoder": Narrow}, "shapes": [(2,)]}),
    ],
)
def test_parts_that_work_together_keep_the_contract_together(component, arguments):
    results = {check.name: check.result() for check in checks(component, **arguments)}
    assert {name: each for name, each in results.items() if each.status == "FAILED"} == {}
    assert {results[name].status for name in PAIRS} == {"ok"}


def test_a_prior_is_a_density_on_the_set_of_its_partner(failures):
    results = {check.name: check.result() for check in checks(OnSphere)}
    assert results["density beside the sampler"].status == "ok"
    assert "draws of its partner is 3.998 where a density has 1" in failures(WrongArea)["density beside the sampler"]


class WithoutCode(Codebook):
    """Forgets to hand on the code."""

    def extra(self, before, code, nearest):
        return {"before": before}


class BothSides(Codebook):
    """Hands on what is computed over the batch."""

    def extra(self, before, code, nearest):
        return {"before": before, "code": code * float("inf")}


class ByBatch(Commitment):
    """Cannot be traced."""

    def forward(self, forward):
        return super().forward(forward) * (1 if int(forward.latent.extra["nearest"].max()) < 9 else 2)


def test_what_a_partner_lacks_is_named(failures):
    assert "loss 'of-test-commitment' fails: KeyError: 'code'" in failures(WithoutCode)["together"]
    assert "terms that are not finite" in failures(BothSides)["together"]
    assert "one graph of it and its partners" in failures(Codebook, partners={"loss": ByBatch})["together compiled"]


def test_what_a_term_of_a_partner_teaches_is_reached_and_what_none_teaches_is_named():
    reached = {
        sampler: next(check for check in checks(sampler) if check.name == "gradients reach every parameter").result()
        for sampler in (Codebook, Idle)
    }
    assert reached[Codebook].status == "ok"
    assert reached[Idle].message.startswith("no gradient reaches spare: ")


def test_a_term_that_needs_a_partner_fails_without_it(failures):
    assert "KeyError: 'before'" in failures(Commitment, partners={})["shapes"]


@pytest.mark.parametrize(
    ("partners", "said"),
    [
        ({"losses": Commitment}, "partners of Codebook: 'losses'; did you mean 'loss'"),
        ({"loss": "no-such-term"}, "unknown loss 'no-such-term'"),
        ({"loss": {"beta": 1.0}}, "has no name"),
        ({"encoder": [Narrow, Narrow]}, "a model has one encoder, and several losses"),
        ({"loss": Loss}, "Loss is abstract"),
    ],
)
def test_partners_that_there_are_not_are_refused(partners, said):
    with pytest.raises(ComponentError, match=said):
        checks(Codebook, partners=partners)


class Vectors(Loss):
    """Takes latents for vectors."""

    class Config(Loss.Config):
        name: Literal["of-test-vectors"] = "of-test-vectors"

    def forward(self, forward):
        z = forward.latent.z
        return z.square().sum(2).mean(0) if z.ndim == 3 else z.square().sum(2).mean()[None, None]


def test_latents_that_are_asked_for_may_not_be_refused(failures):
    class OfVectors(NormalPrior):
        """Takes vectors alone."""

        class Config(NormalPrior.Config):
            name: Literal["of-test-vectors"] = "of-test-vectors"

        def __init__(self, config, latent_shape):
            if len(latent_shape) != 1:
                raise ComponentError("takes vectors")
            super().__init__(config, latent_shape)

    assert failures(OfVectors) == {}
    message = failures(OfVectors, latent_shapes=[(4,), (2, 3)])["shapes"]
    assert message == "it refuses latents of the shapes (2, 3), which are asked for"


def test_latents_of_other_shapes_are_tried_where_they_are_asked_for(failures):
    assert "shapes" not in failures(Vectors)
    assert "the term is (1, 1)" in failures(Vectors, latent_shapes=[(4,), (2, 3)])["shapes"]


class Entropy(Loss):
    """The mean of log q(z|x), which a model has to give."""

    class Config(Loss.Config):
        name: Literal["of-test-entropy"] = "of-test-entropy"

    needs = ("encoder", "log_q")

    def forward(self, forward):
        return forward.latent.log_q.mean(0)


class Silent(Entropy):
    """Does not say that it reads it."""

    needs = ("encoder",)


def test_a_term_that_reads_log_q_says_so(failures):
    assert failures(Entropy, partners={"sampler": "gaussian"}).keys() <= {"sign"}
    assert "add 'log_q' to needs" in failures(Silent)["needs"]
