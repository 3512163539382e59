"""The ladder sampler: with linear maps all of its distributions are Gaussians in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from genkit_ladder import LadderSampler
from genkit_ladder.gaussians import Gaussian
from tests.models import LINEAR, built

DRAWS = 40_000


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(8)
        yield


def ladder(*groups: int, **options: Any) -> LadderSampler:
    return LadderSampler(LadderSampler.Config(groups=groups, **options), (5,)).double()


def constant(head: nn.Module, size: int) -> None:
    """Let a linear map to a mean and a log-variance give the same log-variance always."""
    assert isinstance(head, nn.Linear)
    head.weight.data[size:] = 0


def linear(*groups: int) -> LadderSampler:
    """A ladder of linear maps, whose variances depend on nothing."""
    sampler = ladder(*groups, hidden=0)
    for level, size in enumerate(groups):
        constant(sampler.evidence[level], size)
        if level < len(groups) - 1:
            constant(sampler.down[level], size)
    return sampler


def chain(conditionals: list[tuple[Tensor, Tensor, Tensor]]) -> MultivariateNormal:
    """The joint Gaussian of z_1, ..., z_L, of (A, b, variance) with z_l = A z_>l + b + noise, the top first."""
    mean, covariance = torch.zeros(0).double(), torch.zeros(0, 0).double()
    for a, b, variance in conditionals:
        across = a @ covariance
        own = across @ a.T + torch.diag(variance)
        mean = torch.cat([a @ mean + b, mean])
        covariance = torch.cat([torch.cat([own, across], 1), torch.cat([across.T, covariance], 1)])
    return MultivariateNormal(mean, covariance)


def parts(sampler: LadderSampler, level: int) -> tuple[Tensor, Tensor, Tensor]:
    """A, b and the variance of p(z_l|z_>l)."""
    size = sampler.groups[level]
    if level == len(sampler.groups) - 1:
        return torch.zeros(size, 0).double(), torch.zeros(size).double(), torch.ones(size).double()
    network: Any = sampler.down[level]
    return network.weight[:size].detach(), network.bias[:size].detach(), network.bias[size:].detach().exp()


def exact_prior(sampler: LadderSampler) -> MultivariateNormal:
    return chain([parts(sampler, level) for level in reversed(range(len(sampler.groups)))])


def exact_posterior(sampler: LadderSampler, x: Tensor) -> MultivariateNormal:
    """q(z|x) of one datum (5,)."""
    conditionals = []
    for level in reversed(range(len(sampler.groups))):
        mean, log_var = sampler.evidence[level](x).detach().chunk(2, -1)
        a, b, variance = parts(sampler, level)
        if level == len(sampler.groups) - 1:
            conditionals.append((a, mean, log_var.exp()))
            continue
        both = 1 / (1 / variance + (-log_var).exp())
        own, above = both * (-log_var).exp(), both / variance
        conditionals.append((above.unsqueeze(1) * a, own * mean + above * b, both))
    return chain(conditionals)


@pytest.mark.parametrize("groups", [(2, 1), (1, 2, 3)])
def test_with_linear_maps_the_densities_are_those_of_the_joint_gaussians(groups: tuple[int, ...]) -> None:
    sampler, x = linear(*groups), torch.randn(3, 5, dtype=torch.float64)
    latent = sampler(x, 7)
    p = exact_prior(sampler)
    torch.testing.assert_close(latent.log_q - latent.log_ratio, p.log_prob(latent.z))
    pairs = sampler.log_q(latent.z.unsqueeze(2), latent.mean, latent.extra).squeeze(-1)
    for datum in range(3):
        q = exact_posterior(sampler, x[datum])
        torch.testing.assert_close(latent.log_q[:, datum], q.log_prob(latent.z[:, datum]))
        torch.testing.assert_close(pairs[:, :, datum], q.log_prob(latent.z))
        torch.testing.assert_close(latent.mean[datum], q.mean)


def test_draws_of_prior_and_posterior_have_the_moments_of_the_joint_gaussians() -> None:
    sampler, x = linear(2, 2), torch.randn(1, 5, dtype=torch.float64)
    with torch.no_grad():
        drawn = (sampler.prior(DRAWS), sampler(x, DRAWS).z[:, 0])
    for z, exact in zip(drawn, (exact_prior(sampler), exact_posterior(sampler, x[0])), strict=True):
        error = 6 * exact.covariance_matrix.diagonal().max().sqrt() / DRAWS**0.5
        assert (z.mean(0) - exact.mean).abs().max() < error
        scale = exact.covariance_matrix.diagonal().max()
        assert (torch.cov(z.T) - exact.covariance_matrix).abs().max() < 6 * scale * (2 / DRAWS) ** 0.5


def test_the_columns_of_the_kl_add_up_to_that_of_the_joint_gaussians_in_the_mean() -> None:
    sampler, x = linear(2, 1, 2), torch.randn(3, 5, dtype=torch.float64)
    with torch.no_grad():
        latent = sampler(x, DRAWS)
    for datum in range(3):
        exact = kl_divergence(exact_posterior(sampler, x[datum]), exact_prior(sampler))
        for draws in (latent.kl[:, datum].sum(1), latent.log_ratio[:, datum]):
            assert (draws.mean() - exact).abs() < 6 * draws.std() / DRAWS**0.5
    assert bool((latent.kl >= 0).all())


def test_the_kl_of_a_group_is_exact_for_what_was_drawn_above_it() -> None:
    sampler, x = ladder(3, 2), torch.randn(4, 5, dtype=torch.float64)
    latent = sampler(x, 6)
    p = sampler._prior(0, latent.z[..., 3:])
    own = Gaussian(latent.extra["mean"][:, :3], latent.extra["log_var"][:, :3])
    q = own.times(p)
    of_torch = [Independent(Normal(each.mean, (each.log_var / 2).exp()), 1) for each in (q, p)]
    torch.testing.assert_close(latent.kl[..., 0], kl_divergence(*of_torch))
    top = Independent(Normal(latent.extra["mean"][:, 3:], (latent.extra["log_var"][:, 3:] / 2).exp()), 1)
    standard = Independent(Normal(torch.zeros(2).double(), torch.ones(2).double()), 1)
    torch.testing.assert_close(latent.kl[..., 1], kl_divergence(top, standard).expand(6, 4))


def test_a_product_of_gaussians_is_that_of_their_densities() -> None:
    one, other = (Gaussian(torch.randn(3).double(), torch.randn(3).double() * 2) for _ in range(2))
    z = torch.randn(50, 3, dtype=torch.float64)
    gap = one.log_prob(z) + other.log_prob(z) - one.times(other).log_prob(z)
    torch.testing.assert_close(gap, gap[:1].expand(50))


def test_networks_between_groups_pass_the_log_ratio_and_gradients() -> None:
    sampler, x = ladder(2, 1, hidden=4, activation="tanh"), torch.randn(2, 5, dtype=torch.float64)
    with torch.no_grad():
        weights = (-sampler(x * 0.3, DRAWS // 4).log_ratio).exp()
    assert ((weights.mean(0) - 1).abs() < 6 * weights.std(0) / len(weights) ** 0.5).all()

    def outputs(x: Tensor, *_: Tensor) -> Any:
        torch.manual_seed(0)
        latent = sampler(x, 2)
        return latent.z, latent.mean, latent.kl, latent.log_ratio, latent.log_q

    assert torch.autograd.gradcheck(outputs, (x.requires_grad_(), *sampler.parameters()), fast_mode=True)


def test_no_draws_give_the_mean_alone_and_consume_no_random_number() -> None:
    sampler, x = ladder(3, 2), torch.randn(4, 5, dtype=torch.float64)
    before = torch.get_rng_state()
    latent = sampler(x, 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert (latent.z.shape, latent.kl.shape, latent.log_ratio.shape) == ((0, 4, 5), (0, 4, 2), (0, 4))
    assert latent.divergence is None
    torch.testing.assert_close(latent.mean, sampler(x, 3).mean)


def test_free_bits_are_a_floor_for_each_group() -> None:
    sampler = {"name": "ladder", "groups": [3, 2], "hidden": 8}
    model = built((4,), sampler=sampler, loss=["reconstruction", {"name": "kl", "free_bits": 0.7}])
    passed = model(torch.rand(6, 4), 5)
    means = passed.latent.kl.mean((0, 1))
    assert (means < 0.7).tolist() != (means > 0.7).tolist()
    torch.testing.assert_close(model.losses["kl"](passed), means.clamp_min(0.7).sum())


def test_other_priors_take_the_place_of_the_hierarchy() -> None:
    model = built((4,), sampler={"name": "ladder", "groups": [3, 2], "hidden": 8}, prior="normal").eval()
    latent = model(torch.rand(6, 4), 3).latent
    expected = latent.log_q - Normal(0.0, 1.0).log_prob(latent.z).sum(-1)
    torch.testing.assert_close(latent.log_ratio, expected)


def test_training_reaches_the_likelihood_where_the_exact_posterior_is_a_ladder() -> None:
    """Of x = W z_1 + noise, with linear maps, p(z_1|x, z_2) is a product of evidence and prior: ELBO = log p(x)."""
    sampler = {"name": "ladder", "groups": [1, 1], "hidden": 0}
    model = built((3,), **LINEAR, sampler=sampler, likelihood="gaussian")
    down, (weight, bias) = model.sampler.down[0], model.decoder.parameters()
    with torch.no_grad():
        weight.copy_(torch.tensor([[1.5, 0.0], [-1.0, 0.0], [0.5, 0.0]]))
        bias.zero_()
        down.weight.copy_(torch.tensor([[1.0], [0.0]]))
        down.bias.copy_(torch.tensor([0.5, -0.5]))
    for part in (model.decoder, down):
        part.requires_grad_(False)
    spread = 1.0 + torch.tensor(-0.5).exp()
    w = weight[:, :1].detach()
    exact = MultivariateNormal(0.5 * w[:, 0], torch.eye(3) + w @ w.T * spread)
    x = exact.sample((200,))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.07)
    for _ in range(100):
        optimizer.zero_grad()
        passed = model(x, 4)
        (passed.latent.divergence.sum(1) - passed.log_prob.mean(0)).mean().backward()
        optimizer.step()
    with torch.no_grad():
        passed = model.eval()(x, 1000)
        elbo = (passed.log_prob.mean(0) - passed.latent.divergence.sum(1)).mean()
    assert float(exact.log_prob(x).mean() - elbo) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("options", [{"groups": [4]}, {"groups": [4, 0]}, {"groups": 4}, {"hidden": -1}])
def test_one_group_and_empty_groups_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        LadderSampler.Config.model_validate(options)
