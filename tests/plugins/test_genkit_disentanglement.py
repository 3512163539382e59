"""The terms of disentanglement against closed forms, exact sums over all data, and brute force."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from genkit import Latent, gather
from genkit.errors import ComponentError, ConfigError
from genkit.interfaces import Forward, Loss, Schema
from genkit.model.model import Model
from genkit.parallel.draws import Rows, adding_by, taking
from genkit.runs.running import resume, run
from genkit.testing import checks
from genkit.training.trainer import Trainer
from genkit_data.digits import Digits
from genkit_disentanglement import DIP, MMD, Capacity, FactorTerm, TotalCorrelation
from genkit_vae import GaussianSampler
from tests.models import PARTS, built
from tests.parallel.test_group import two_processes

CORRELATION = 0.8
KNOWN = -math.log(1 - CORRELATION**2) / 2
"""The total correlation of two standard normal variables with that correlation: −½ ln det of the matrix."""
FAST = {"optimizer": {"name": "adam", "lr": 1e-2}}
TERMS: list[dict[str, Any]] = [
    {"name": "tc"},
    {"name": "tc", "estimator": "stratified"},
    {"name": "factor", "hidden": [8]},
    {"name": "dip"},
    {"name": "dip", "form": "II"},
    {"name": "capacity", "capacity": 3},
    {"name": "mmd"},
    {"name": "mmd", "kernel": "rbf"},
]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


def passed(z: Tensor, mean: Tensor | None = None, log_var: Tensor | None = None, kl: Tensor | None = None) -> Forward:
    """A pass of draws z (K, B, D), of which only the latents matter."""
    extra = {} if log_var is None else {"log_var": log_var}
    mean = z.mean(0) if mean is None else mean
    likelihood: Any = None
    return Forward(z[0], Latent(z, mean, kl, None, extra=extra), None, None, None, likelihood)


def attached(term: Any, latent: int = 2, prior: Any = None) -> Any:
    sampler = GaussianSampler(GaussianSampler.Config(latent=latent), None)
    term.attach(SimpleNamespace(sampler=sampler, draw=prior or sampler.prior))
    return term


def correlation_term(data: int | None = None, estimator: str = "stratified", latent: int = 2) -> TotalCorrelation:
    config = TotalCorrelation.Config(estimator=estimator)
    return attached(TotalCorrelation(config, (4,), data), latent)  # type: ignore[no-any-return]


def correlated(count: int) -> Tensor:
    """Draws (1, count, 2) of the two correlated variables."""
    one, other = torch.randn(2, count)
    return torch.stack([one, CORRELATION * one + math.sqrt(1 - CORRELATION**2) * other], 1).unsqueeze(0)


def fitted(model: Model, x: Tensor, steps: int) -> None:
    """Train a model on one batch."""
    trainer = Trainer(model.train(), model.config.training)
    weights = torch.tensor(list(trainer.weights_at(0).values()))
    for _ in range(steps):
        trainer.step(x, weights)


# Total correlation


def test_the_total_correlation_of_correlated_gaussians_is_that_of_their_covariance() -> None:
    spread = 0.05  # q(z) is the sum of means with this covariance less, and of posteriors with this variance
    covariance = torch.tensor([[1.0, CORRELATION], [CORRELATION, 1.0]])
    root = torch.linalg.cholesky(covariance - spread * torch.eye(2))
    mean = torch.randn(1500, 2) @ root.T
    z = (mean + math.sqrt(spread) * torch.randn(1500, 2)).unsqueeze(0)
    value = correlation_term()(passed(z, mean, torch.full_like(mean, math.log(spread)))).mean()
    assert value == pytest.approx(KNOWN, abs=0.05)


@pytest.fixture(scope="module")
def posteriors() -> tuple[Tensor, Tensor, Tensor]:
    """Draws (1, N, D), means and log-variances (N, D) of posteriors of all digits."""
    generator = torch.Generator().manual_seed(0)
    x = Digits(Digits.Config()).load().train.x[:].flatten(1)
    mean = (x - x.mean(0)) @ torch.randn(64, 3, generator=generator) / 2
    log_var = -1 - torch.rand(len(x), 3, generator=generator)
    noise = torch.randn(mean.shape, generator=generator)
    return (mean + torch.exp(log_var / 2) * noise).unsqueeze(0), mean, log_var


def test_a_batch_of_all_digits_gives_the_total_correlation_of_the_exact_q(
    posteriors: tuple[Tensor, Tensor, Tensor],
) -> None:
    z, mean, log_var = posteriors
    assert len(mean) == 1797
    components = Normal(mean, torch.exp(log_var / 2))
    every = Categorical(logits=torch.zeros(len(mean)))
    joint = MixtureSameFamily(every, Independent(components, 1)).log_prob(z[0])
    single = [
        MixtureSameFamily(every, Normal(mean[:, d], torch.exp(log_var[:, d] / 2))).log_prob(z[0, :, d])
        for d in range(3)
    ]
    exact = joint - torch.stack(single).sum(0)
    assert exact.mean() > 0.05
    value = correlation_term(1797, latent=3)(passed(z, mean, log_var))
    torch.testing.assert_close(value, exact, rtol=1e-3, atol=1e-3)
    weighted = correlation_term(1797, "weighted", 3)(passed(z, mean, log_var))
    torch.testing.assert_close(weighted, exact, rtol=1e-3, atol=1e-3)


def test_stratified_batches_give_q_without_bias(posteriors: tuple[Tensor, Tensor, Tensor]) -> None:
    z, mean, log_var = posteriors
    term, rows = correlation_term(1797, latent=3), torch.randint(1, 1797, (4000, 31))
    pairs = term.log_q(z[:, :1].unsqueeze(2), mean, {"log_var": log_var})[0, 0].sum(1)  # (N,), at the first draw
    weights = term.log_weights(torch.zeros(1, 32, 32, 3))[0].exp()
    estimates = weights[0] * pairs[0].exp() + (weights[1:] * pairs[rows].exp()).sum(1)
    exact = pairs.exp().mean()
    assert float(abs(estimates.mean() - exact)) < 4 * float(estimates.std()) / math.sqrt(4000)
    assert estimates.mean() == pytest.approx(float(exact), rel=0.1)


def test_the_weighted_estimator_is_equation_3_without_its_constant() -> None:
    mean, log_var = torch.randn(8, 2), torch.zeros(8, 2)
    z, data = mean.unsqueeze(0) + 0.3, 1000
    densities = Normal(mean, 1.0).log_prob(z[0].unsqueeze(1))  # (own, others, D)
    joint = (densities.sum(2) - math.log(8 * data)).logsumexp(1)
    single = (densities - math.log(8 * data)).logsumexp(1).sum(1)
    value = correlation_term(data, "weighted")(passed(z, mean, log_var))
    torch.testing.assert_close(value, joint - single - math.log(data))


def test_a_stratified_estimate_keeps_the_contract() -> None:
    config = TotalCorrelation.Config(estimator="stratified")
    expected = {"batch size": "the estimate of q(z) depends on the batch, its expectation does not"}
    results = [check.result() for check in checks(TotalCorrelation, config, expected=expected)]
    assert [each for each in results if each.status == "FAILED"] == []


@pytest.mark.parametrize("name", ["tc", "factor"])
def test_a_total_correlation_of_one_latent_is_refused(name: str) -> None:
    with pytest.raises(ComponentError, match=f"loss '{name}' refuses the model: it is the dependence between latent"):
        built((4,), sampler={"name": "gaussian", "latent": 1}, loss=["reconstruction", "kl", name])


def test_a_total_correlation_needs_a_density_of_independent_dimensions(variant: Any) -> None:
    with pytest.raises(ComponentError, match=r"loss 'tc' refuses the model: it needs q\(z\|x\) at any z: choose"):
        built((4,), sampler={"name": "point", "latent": 2}, loss=["reconstruction", "tc"])

    def joint(self: Any, z: Tensor, mean: Tensor, extra: Any) -> Tensor:
        return GaussianSampler.log_q(self, z, mean, extra).sum(-1, keepdim=True)

    name = variant(GaussianSampler, log_q=joint)
    with pytest.raises(ComponentError, match="its log_q has one column"):
        built((4,), sampler={"name": name}, loss=["reconstruction", "kl", "tc"])


def test_a_beta_tcvae_makes_its_latents_less_dependent_than_a_vae() -> None:
    x = torch.randn(128, 6) @ torch.tensor([[1.0, 0.9], [0.9, 1.0]]).repeat(3, 3)
    values = []
    for weight in (0, 20):
        torch.manual_seed(0)
        loss = ["reconstruction", "kl", {"name": "tc", "weight": weight}]
        model = built(
            Schema((6,), training_data=128), loss=loss, likelihood={"name": "gaussian", "scale": 0.3}, training=FAST
        )
        fitted(model, x, 150)
        with torch.no_grad():
            values.append(float(model.eval().losses["tc"](model(x, 8)).mean()))
    assert values[1] < values[0] / 3, values


# FactorVAE


def test_the_critic_learns_the_total_correlation_of_correlated_gaussians() -> None:
    config = FactorTerm.Config(hidden=(64, 64))
    term = attached(FactorTerm(config, (4,)))
    optimizer = torch.optim.Adam(term.parameters(), lr=5e-3, betas=(0.5, 0.9))
    for _ in range(500):
        optimizer.zero_grad()
        term.critic_loss(passed(correlated(512))).mean().backward()
        optimizer.step()
    with torch.no_grad():
        z = correlated(20_000)
        assert term(passed(z)).mean() == pytest.approx(KNOWN, abs=0.06)
        ratio = -math.log(1 - CORRELATION**2) / 2 - (
            (z[..., 0].square() + z[..., 1].square()) * CORRELATION**2 - 2 * CORRELATION * z[..., 0] * z[..., 1]
        ) / (2 * (1 - CORRELATION**2))  # log q(z) / q(z_1) q(z_2)
        near = z.abs().amax(-1) < 1.5
        assert (term.log_ratio(z) - ratio)[near].abs().mean() < 0.15


def test_shuffled_latents_keep_each_dimension_and_lose_their_dependence() -> None:
    seen: list[Tensor] = []
    term = attached(FactorTerm(FactorTerm.Config(), (4,)))
    term.critic.register_forward_pre_hook(lambda _, inputs: seen.append(*inputs))
    z = correlated(5000)
    term.critic_loss(passed(z))
    shuffled = seen[1]
    torch.testing.assert_close(shuffled.sort(1).values, z.sort(1).values)
    assert abs(float(torch.corrcoef(shuffled[0].T)[0, 1])) < 0.05


# DIP


@pytest.mark.parametrize(("form", "ratio"), [("I", 10), ("II", 1), ("I", 3)])
def test_dip_is_the_distance_of_the_covariance_from_the_identity(form: str, ratio: float) -> None:
    z, mean = torch.randn(5, 40, 3) * 2, torch.randn(40, 3)
    options = {"form": form} | ({"diagonal": ratio} if ratio == 3 else {})
    term = DIP(DIP.Config.model_validate(options), (4,))
    covariance = torch.cov((mean if form == "I" else z.flatten(0, 1)).T, correction=0)
    off = covariance - covariance.diag().diag()
    expected = off.square().sum() + ratio * (covariance.diag() - 1).square().sum()
    torch.testing.assert_close(term(passed(z, mean)), expected)


def test_the_covariance_of_draws_is_that_of_means_and_the_mean_of_variances() -> None:
    """Kumar et al. 2018, equation 5: Cov[z] = E[Σ] + Cov[μ]."""
    mean, log_var = torch.randn(50, 2), torch.randn(50, 2)
    z = mean + torch.exp(log_var / 2) * torch.randn(20_000, 50, 2)
    covariance = torch.cov(mean.T, correction=0) + log_var.exp().mean(0).diag()
    expected = (covariance - torch.eye(2)).square().sum()
    assert DIP(DIP.Config(form="II"), (4,))(passed(z, mean)) == pytest.approx(float(expected), rel=0.02)


# Capacity


def test_the_capacity_is_the_distance_of_the_mean_kl_from_a_target_that_grows() -> None:
    kl = torch.tensor([[1.0, 2.0], [3.0, 0.0]], requires_grad=True)  # 3 nats in the mean
    config = Capacity.Config.model_validate({"capacity": {"from": 0, "to": 25, "epochs": 100}})
    term = Capacity(config, (4,))
    for epoch, target in ((0.0, 0.0), (8, 2.0), (40, 10.0), (200, 25.0)):
        term.stepped(1, epoch)
        assert float(term(passed(torch.zeros(1, 2, 2), kl=kl)).detach()) == pytest.approx(abs(3 - target))
    (slope,) = torch.autograd.grad(term(passed(torch.zeros(1, 2, 2), kl=kl)), kl)
    assert slope.tolist() == [[-0.5, -0.5]] * 2  # below the capacity the KL rises
    again = Capacity(config, (4,))
    again.load_state_dict(term.state_dict())
    assert again.target == 25


def test_the_kl_of_a_model_reaches_its_capacity() -> None:
    x = torch.randn(64, 6) @ torch.randn(6, 6)
    model = built((6,), loss=["reconstruction", {"name": "capacity", "weight": 100, "capacity": 2}])
    fitted(model, x, 300)
    assert float(model.eval()(x, 1).latent.divergence.detach().sum(1).mean()) == pytest.approx(2, abs=0.1)


def test_a_resumed_run_goes_on_with_its_capacity(bare: None, tmp_path: Any) -> None:
    term = {"name": "capacity", "capacity": {"from": 1, "to": 5, "epochs": 4}}
    config = {**PARTS, "loss": ["reconstruction", term], "training": {"epochs": 3, "batch_size": 500}}
    whole = run(config, out=tmp_path / "whole").model
    run(config, ["training.epochs=1"], out=tmp_path / "parts")
    parts = resume(tmp_path / "parts", 3).model
    assert whole.losses["capacity"].target == pytest.approx(4)
    state = parts.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.state_dict().items())


@pytest.mark.parametrize("capacity", [-1, {"from": -1, "to": 3, "epochs": 2}, {"from": 0, "to": -3, "epochs": 2}])
def test_a_capacity_below_zero_is_refused(capacity: Any) -> None:
    with pytest.raises(ValidationError, match="no KL is below 0"):
        Capacity.Config.model_validate({"capacity": capacity})


# MMD


def kernel(one: Tensor, other: Tensor, name: str, scales: tuple[float, ...]) -> float:
    square = sum((a - b) ** 2 for a, b in zip(one.tolist(), other.tolist(), strict=True))
    widths = [2 * len(one) * scale for scale in scales]
    return sum(math.exp(-square / c) if name == "rbf" else c / (c + square) for c in widths)


@pytest.mark.parametrize("name", ["imq", "rbf"])
def test_the_discrepancy_is_the_double_loop_over_all_pairs(name: str) -> None:
    z, y = torch.randn(2, 6, 3), torch.randn(6, 3) + 1
    term = attached(MMD(MMD.Config(kernel=name, scales=(0.5, 2.0)), (4,)), prior=lambda n: y[:n])
    total = 0.0
    for draw in z:
        for i in range(6):
            for j in range(6):
                alike = kernel(draw[i], draw[j], name, (0.5, 2.0)) + kernel(y[i], y[j], name, (0.5, 2.0))
                total += (i != j) * alike / 30 - 2 * kernel(draw[i], y[j], name, (0.5, 2.0)) / 36
    assert term(passed(z)).mean() == pytest.approx(total / 2, rel=1e-4)


def test_the_discrepancy_of_equal_distributions_is_zero_in_the_mean_and_of_others_above() -> None:
    term = attached(MMD(MMD.Config(), (4,)))
    equal = torch.stack([term(passed(torch.randn(1, 16, 2))).mean() for _ in range(600)])
    assert abs(float(equal.mean())) < 4 * float(equal.std()) / math.sqrt(len(equal))
    assert float(equal.min()) < 0  # without bias, and so on both sides of 0
    wider = torch.stack([term(passed(2 * torch.randn(1, 16, 2))).mean() for _ in range(100)])
    assert float(wider.mean()) > 10 * float(wider.std()) / math.sqrt(len(wider))
    assert term(passed(torch.randn(1, 1, 2))).tolist() == [0.0]


def test_the_discrepancy_is_to_the_prior_of_the_config() -> None:
    model = built((4,), prior={"name": "mixture", "components": 1}, loss=["reconstruction", "kl", "mmd"])
    model.prior.means.data.fill_(100.0)
    z = torch.randn(1, 64, 2)
    assert model.losses["mmd"](passed(z)).mean() > model.losses["mmd"](passed(z + 100)).mean() + 1


def wasserstein(**changes: Any) -> Any:
    sampler = {"name": "point", "latent": 2}
    return built(
        (6,), sampler=sampler, loss=["reconstruction", {"name": "mmd", "weight": 20}], training=FAST, **changes
    )


def test_a_wasserstein_autoencoder_brings_points_to_the_prior_that_it_samples() -> None:
    x = 3 + torch.randn(128, 2) @ torch.randn(2, 6)
    model = wasserstein(prior="normal")
    before = model.encode(x)
    fitted(model, x, 200)
    after = model.encode(x)
    distance = model.losses["mmd"]
    assert distance(passed(after.unsqueeze(0))).mean() < distance(passed(before.unsqueeze(0))).mean() / 5
    torch.testing.assert_close(after.mean(0), torch.zeros(2), atol=0.25, rtol=0)
    assert model.has_prior
    assert model.sample(3).shape == (3, 6)
    assert model(x, 1).latent.divergence is None


def test_a_discrepancy_without_a_prior_is_refused() -> None:
    with pytest.raises(
        ComponentError, match=r"loss 'mmd' needs a prior to draw latents from; sampler 'point' has none"
    ):
        wasserstein()
    with pytest.raises(ComponentError, match=r"name one that is not fitted after training \(prior: normal\)"):
        wasserstein(prior={"name": "gmm", "components": 2})
    with pytest.raises(ComponentError, match="prior 'mixture' needs a sampler that gives the density"):
        wasserstein(prior={"name": "mixture", "components": 2})  # nothing would fit it


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ({"name": "mmd", "scales": []}, "scales"),
        ({"name": "mmd", "scales": [0]}, "scales.0"),
        ({"name": "factor", "hidden": [0]}, "hidden.0"),
        ({"name": "dip", "form": "III"}, "form"),
        ({"name": "tc", "estimator": "all"}, "estimator"),
    ],
)
def test_wrong_options_are_named(term: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built((4,), loss=["reconstruction", "kl", term])


# Two processes


def test_own_rows_alone_need_all_latents() -> None:
    """A process that sees its own rows alone gives another value: what the others have is gathered."""
    term, z = attached(MMD(MMD.Config(), (4,)), prior=lambda n: torch.zeros(n, 2)), torch.randn(1, 4, 2)
    with taking(Rows(0, 2, 4)), adding_by(lambda summand: summand):
        assert gather(z[:, :2], batch=1).shape == (1, 4, 2)
        shared = term(passed(z[:, :2]))
    assert not torch.allclose(shared, term(passed(z[:, :2])))


SCRIPT = textwrap.dedent("""
    import json, sys, torch
    from genkit.interfaces import LearnedLoss, Schema
    from genkit.parallel import draws, group
    from tests.models import PARTS, built

    def gradients(model, loss, x):
        passed = model(x)
        values = [draws.mean(loss(passed))]
        if isinstance(loss, LearnedLoss):
            values.append(draws.mean(loss.critic_loss(passed.detached())))
        fitted = list(model.parameters())
        slopes = torch.autograd.grad(sum(values), fitted, allow_unused=True)
        return [torch.stack(values).detach(), *(slope for slope in slopes if slope is not None)]

    with group.joined(torch.device("cpu")):
        for options in json.loads(sys.argv[1]):
            torch.manual_seed(1)
            schema = Schema((4,), training_data=50)
            model = built(schema, sampler={"name": "gaussian", "latent": 3}, loss=["reconstruction", options]).double()
            loss = model.losses[options["name"]]
            for total in (8, 7, 2):
                x = torch.randn(total, 4, dtype=torch.float64)
                rows = draws.rows_of(total)
                torch.manual_seed(2)
                with draws.sharing(total):
                    own = gradients(model, loss, x[rows.start:rows.stop])
                group.add_up(own)
                torch.manual_seed(2)
                alone = gradients(model, loss, x)
                torch.testing.assert_close(own, alone, rtol=1e-8, atol=1e-10, msg=str(options))
    print("the same")
    """)


@pytest.mark.slow
def test_two_processes_give_the_values_and_gradients_of_one(tmp_path: Any, environment: Any, process: Any) -> None:
    import json
    from pathlib import Path

    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    printed = two_processes(process, script, json.dumps(TERMS), environment={**environment, "PYTHONPATH": root})
    assert printed.count("the same") == 2


@pytest.mark.parametrize("options", TERMS, ids=lambda each: "-".join(map(str, each.values())))
def test_each_term_trains(options: dict[str, Any]) -> None:
    model = built(Schema((4,), training_data=64), loss=["reconstruction", "kl", options])
    fitted(model, torch.rand(16, 4), 3)
    loss = model.losses[options["name"]]
    assert isinstance(loss, Loss)
    assert bool(loss(model(torch.rand(16, 4))).isfinite().all())
