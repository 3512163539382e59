from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from genkit.config import RunConfig
from genkit.errors import ComponentError
from genkit.interfaces import Forward, Latent
from genkit.model.building import build
from genkit.record.totals import Total
from genkit.runs.opening import as_config
from genkit.training.objective import objective
from genkit.training.trainer import Trainer
from genkit_vae import KL, BernoulliLikelihood, GaussianLikelihood, GaussianSampler, Reconstruction
from tests.models import built


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        yield


def sampler(latent: int = 3, features: tuple[int, ...] = (5,), dtype: torch.dtype = torch.float32) -> GaussianSampler:
    return GaussianSampler(GaussianSampler.Config(latent=latent), features).to(dtype)


def posterior(made: GaussianSampler, features: Tensor) -> Normal:
    """q(z|x), written down anew from the two heads."""
    flat = features.flatten(1)
    mean = flat @ made.mean.weight.T + made.mean.bias
    return Normal(mean, (flat @ made.log_var.weight.T + made.log_var.bias).exp().sqrt())


def gaussian(scale: float | str = 1.0, shape: tuple[int, ...] = (4,)) -> GaussianLikelihood:
    return GaussianLikelihood(GaussianLikelihood.Config.model_validate({"scale": scale}), shape)


def bernoulli(shape: tuple[int, ...] = (4,)) -> BernoulliLikelihood:
    return BernoulliLikelihood(BernoulliLikelihood.Config(), shape)


def kl_term(**options: Any) -> KL:
    return KL(KL.Config.model_validate(options), (4,))


def run_config(**changes: Any) -> RunConfig:
    parts = {
        "data": "digits",
        "encoder": {"name": "mlp", "hidden": [5], "activation": "tanh"},
        "sampler": {"name": "gaussian", "latent": 2},
        "decoder": {"name": "mlp", "hidden": [5], "activation": "tanh"},
        "likelihood": "bernoulli",
        "loss": ["reconstruction", "kl"],
    }
    return as_config({**parts, **changes})


def passed(kl: Tensor | None = None, log_prob: Tensor | None = None) -> Forward:
    """A pass of which only the KL or the log-likelihood matter."""
    empty = torch.empty(0)
    return Forward(empty, Latent(empty, empty, kl, None), empty, empty if log_prob is None else log_prob, None, None)  # type: ignore[arg-type]


# The sampler


def test_kl_per_dimension_is_that_of_torch_distributions() -> None:
    made, features = sampler(dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64) * 3
    expected = kl_divergence(posterior(made, features), Normal(0.0, 1.0))
    torch.testing.assert_close(made(features).kl, expected)


def test_kl_agrees_with_a_monte_carlo_estimate_of_its_own_definition() -> None:
    made, features = sampler(), torch.randn(4, 5) * 2
    q = posterior(made, features)
    z = q.sample((40_000,))
    draws = q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((made(features).kl - draws.mean(0)).abs() < 5 * error + 1e-5).all()


def test_log_ratio_is_log_q_minus_log_p_at_the_draws() -> None:
    made, features = sampler(dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64) * 2
    latent = made(features, draws=7)
    expected = posterior(made, features).log_prob(latent.z) - Normal(0.0, 1.0).log_prob(latent.z)
    torch.testing.assert_close(latent.log_ratio, expected.sum(-1))
    torch.testing.assert_close(latent.log_q, posterior(made, features).log_prob(latent.z).sum(-1))


def test_log_q_is_the_density_of_each_draw_under_each_posterior() -> None:
    made, features = sampler(dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64) * 2
    latent = made.train()(features, draws=7)
    pairs = made.log_q(latent.z.unsqueeze(2), latent.mean, latent.extra)
    torch.testing.assert_close(pairs, posterior(made, features).log_prob(latent.z.unsqueeze(2)))


def test_log_ratio_averages_to_the_kl() -> None:
    made, features = sampler(), torch.randn(4, 5)
    latent = made(features, draws=40_000)
    error = latent.log_ratio.std(0) / math.sqrt(40_000)
    assert ((latent.log_ratio.mean(0) - latent.kl.sum(1)).abs() < 5 * error).all()


def test_draws_have_the_mean_and_the_variance_of_the_heads() -> None:
    made, features = sampler(), torch.randn(4, 5)
    n, q, z = 40_000, posterior(made, features), made(features, draws=40_000).z
    assert ((z.mean(0) - q.mean).abs() < 5 * q.stddev / math.sqrt(n)).all()
    assert ((z.var(0) - q.variance).abs() < 5 * q.variance * math.sqrt(2 / n)).all()


def test_dimensions_data_and_draws_are_independent() -> None:
    made = sampler(latent=2)
    z = made(torch.randn(2, 5), draws=20_000).z.detach().flatten(1)  # the four values of a draw
    neighbours = torch.stack([z[:-1, 0], z[1:, 0]])
    for values, size in ((z.T, 4), (neighbours, 2)):
        assert (torch.corrcoef(values) - torch.eye(size)).abs().max() < 5 / math.sqrt(20_000)


def test_the_mean_is_that_of_q_and_no_draw() -> None:
    made, features = sampler(), torch.randn(4, 5)
    torch.testing.assert_close(made(features).mean, posterior(made, features).mean)
    assert torch.equal(made(features).mean, made(features).mean)


def test_the_reparameterization_gradients_are_those_of_the_formula() -> None:
    made, features = sampler(dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    latent, q = made(features, draws=2), posterior(made, features)
    latent.z.sum().backward()
    eps = ((latent.z - q.mean) / q.stddev).detach()
    torch.testing.assert_close(made.mean.bias.grad, torch.full((3,), 2.0 * 3, dtype=torch.float64))
    torch.testing.assert_close(made.log_var.bias.grad, (eps * q.stddev / 2).sum((0, 1)))
    assert made.mean.weight.grad.abs().min() > 0
    assert made.log_var.weight.grad.abs().min() > 0


def test_no_draws_give_empty_z_and_consume_no_random_number() -> None:
    made, features = sampler(), torch.randn(4, 5)
    before = torch.get_rng_state()
    latent = made(features, draws=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert latent.z.shape == (0, 4, 3)
    assert latent.log_ratio.shape == (0, 4)
    assert torch.equal(latent.kl, made(features, draws=1).kl)


@pytest.mark.parametrize(
    ("batch", "draws", "latent", "features"), [(1, 1, 1, (5,)), (3, 4, 2, (2, 3)), (2, 1, 6, (1,))]
)
def test_the_parts_of_a_latent_have_their_shapes(
    batch: int, draws: int, latent: int, features: tuple[int, ...]
) -> None:
    made = sampler(latent, features)
    z, mean, kl, log_ratio, log_q, _ = made(torch.randn(batch, *features), draws)
    assert made.latent_shape == (latent,)
    assert (z.shape, mean.shape) == ((draws, batch, latent), (batch, latent))
    assert (kl.shape, log_ratio.shape, log_q.shape) == ((batch, latent), (draws, batch), (draws, batch))


def test_the_prior_is_a_standard_normal() -> None:
    z = sampler(latent=2).prior(40_000)
    assert z.shape == (40_000, 2)
    assert (z.mean(0).abs() < 5 / math.sqrt(40_000)).all()
    assert ((torch.cov(z.T) - torch.eye(2)).abs() < 5 * math.sqrt(2 / 40_000)).all()
    within = (z.abs() < 1).float().mean(0)
    torch.testing.assert_close(within, torch.full((2,), math.erf(1 / math.sqrt(2))), atol=0.012, rtol=0)


def test_both_heads_read_the_same_features_side_by_side() -> None:
    made, seen = sampler(), []
    for head in (made.mean, made.log_var):
        head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    made(torch.randn(4, 5))
    assert len(seen) == 2
    assert seen[0] is seen[1]


def test_the_prior_follows_the_precision_of_the_model() -> None:
    assert sampler(dtype=torch.float64).prior(2).dtype == torch.float64


def test_gradcheck_of_the_kl() -> None:
    made = sampler(dtype=torch.float64)
    features = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given, *_: made(given).kl, (features, *made.parameters()))


def with_same_draws(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def seeded(*arguments: Tensor) -> Tensor:
        torch.manual_seed(5)
        return function(*arguments)

    return seeded


def test_gradcheck_of_the_draws_and_of_the_log_ratio() -> None:
    made = sampler(dtype=torch.float64)
    features = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    function = with_same_draws(lambda given, *_: torch.stack([made(given, 2).z.sum(-1), made(given, 2).log_ratio]))
    assert torch.autograd.gradcheck(function, (features, *made.parameters()))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", {"name": "gaussian", "scale": "learned"}])
def test_gradcheck_of_the_whole_objective(likelihood: object) -> None:
    model = build(run_config(likelihood=likelihood, sampler={"name": "gaussian", "latent": 2}), (4,)).double()
    x, weights = torch.rand(3, 4, dtype=torch.float64), torch.tensor([1.0, 0.5], dtype=torch.float64)
    function = with_same_draws(lambda *_: objective(model, x, weights)[0])
    assert torch.autograd.gradcheck(function, tuple(model.parameters()))


@pytest.mark.parametrize("latent", [0, -1, 2.0])
def test_a_latent_space_without_dimensions_is_refused(latent: object) -> None:
    with pytest.raises(ValidationError, match="latent"):
        GaussianSampler.Config.model_validate({"latent": latent})


# The Bernoulli likelihood


@pytest.mark.parametrize("binary", [True, False])
def test_bernoulli_log_prob_is_minus_the_binary_cross_entropy(binary: bool) -> None:
    x, logits = torch.rand(3, 1, 4, 4), torch.randn(2, 3, 1, 4, 4) * 3
    x = x.round() if binary else x
    found = -bernoulli((1, 4, 4)).log_prob(x, logits)
    assert found.shape == (2, 3)
    for k, b in itertools.product(range(2), range(3)):
        plain = F.binary_cross_entropy(torch.sigmoid(logits[k, b]), x[b], reduction="sum")
        stable = F.binary_cross_entropy_with_logits(logits[k, b], x[b], reduction="sum")
        torch.testing.assert_close(found[k, b], plain, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(found[k, b], stable, rtol=1e-5, atol=1e-4)


def test_bernoulli_probabilities_of_all_binary_data_add_up_to_one() -> None:
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)
    logits = (torch.randn(4, dtype=torch.float64) * 2).expand(1, 16, 4)
    torch.testing.assert_close(bernoulli().log_prob(every, logits).exp().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_bernoulli_is_finite_and_right_at_extreme_logits() -> None:
    x = torch.tensor([[0.0, 1.0, 0.0, 1.0]])
    logits = torch.tensor([[[-1e4, 1e4, 1e4, -1e4]]], requires_grad=True)
    log_prob = bernoulli().log_prob(x, logits)
    assert log_prob.item() == -2e4
    log_prob.sum().backward()
    assert logits.grad.tolist() == [[[0.0, 0.0, -1.0, 1.0]]]


def test_gradcheck_of_the_bernoulli_log_prob() -> None:
    x = torch.rand(2, 4, dtype=torch.float64)
    logits = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: bernoulli().log_prob(x, given), (logits,))


def test_bernoulli_samples_are_binary_and_average_to_the_mean() -> None:
    made, logits = bernoulli(), torch.tensor([-3.0, -0.5, 0.0, 2.0])
    mean, drawn = made.mean(logits), made.sample(logits.expand(20_000, 4))
    torch.testing.assert_close(mean, 1 / (1 + torch.exp(-logits)))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert ((drawn.mean(0) - mean).abs() < 5 * (mean * (1 - mean) / 20_000).sqrt()).all()


def test_bernoulli_takes_values_from_zero_to_one_alone() -> None:
    assert bernoulli().support == (0.0, 1.0)
    assert bernoulli((1, 2, 3)).params_shape == (1, 2, 3)


# The Gaussian likelihood


@pytest.mark.parametrize("scale", [1.0, 0.3, 25, "learned"])
def test_gaussian_log_prob_is_that_of_torch_distributions(scale: float | str) -> None:
    made, x, means = gaussian(scale, (2, 3)), torch.randn(4, 2, 3), torch.randn(5, 4, 2, 3)
    expected = Normal(means, 1.0 if scale == "learned" else scale).log_prob(x).sum((2, 3))
    torch.testing.assert_close(made.log_prob(x, means), expected)


def test_gaussian_with_a_learned_scale_other_than_one() -> None:
    made, x, means = gaussian("learned"), torch.randn(3, 4), torch.randn(2, 3, 4)
    with torch.no_grad():
        made.log_scale.fill_(-0.7)
    torch.testing.assert_close(made.log_prob(x, means), Normal(means, math.exp(-0.7)).log_prob(x).sum(2))


@pytest.mark.parametrize("scale", [0.2, 3.0])
def test_gaussian_density_integrates_to_one(scale: float) -> None:
    grid = torch.linspace(-40, 40, 8001, dtype=torch.float64).unsqueeze(1)
    density = gaussian(scale, (1,)).double().log_prob(grid, torch.full((1, 8001, 1), 0.4, dtype=torch.float64)).exp()
    assert torch.trapezoid(density[0], grid[:, 0]).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("factor", "direction"), [(0.5, -1), (1.0, 0), (2.0, 1)])
def test_a_learned_scale_has_its_optimum_at_the_root_mean_square_error(factor: float, direction: int) -> None:
    made, x, means = gaussian("learned"), torch.randn(6, 4) * 0.4, torch.randn(3, 6, 4) * 0.4
    rms = (x - means).square().mean().sqrt()
    with torch.no_grad():
        made.log_scale.copy_((rms * factor).log())
    (slope,) = torch.autograd.grad(-made.log_prob(x, means).mean(), made.log_scale)
    # per value: 1 - (rms / scale)^2
    assert slope.item() == pytest.approx(4 * (1 - factor**-2), abs=1e-4)
    assert (slope > 1e-3).item() - (slope < -1e-3).item() == direction


def test_a_learned_scale_is_fitted_and_kept_and_a_fixed_one_is_neither() -> None:
    learned, fixed = gaussian("learned"), gaussian(0.5)
    assert [name for name, _ in learned.named_parameters()] == ["log_scale"]
    assert list(learned.state_dict()) == ["log_scale"]
    assert not list(fixed.parameters())
    assert not fixed.state_dict()


@pytest.mark.parametrize("scale", [0, 0.0, -1.0, True, "lerned", None, float("nan")])
def test_impossible_scales_are_refused(scale: object) -> None:
    with pytest.raises(ValidationError, match="must be a number above 0, or 'learned'"):
        GaussianLikelihood.Config.model_validate({"scale": scale})


def test_a_scale_without_end_is_refused() -> None:
    with pytest.raises(ValidationError, match="scale"):
        GaussianLikelihood.Config.model_validate({"scale": float("inf")})


def test_gradcheck_of_the_gaussian_log_prob() -> None:
    made, x = gaussian("learned").double(), torch.randn(2, 4, dtype=torch.float64)
    means = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given, _: made.log_prob(x, given), (means, made.log_scale))


def test_gaussian_samples_have_its_mean_and_scale() -> None:
    made, params = gaussian(0.5), torch.tensor([-2.0, 0.0, 1.0, 7.0])
    drawn = made.sample(params.expand(20_000, 4))
    assert torch.equal(made.mean(params), params)
    assert ((drawn.mean(0) - params).abs() < 5 * 0.5 / math.sqrt(20_000)).all()
    assert ((drawn.std(0) - 0.5).abs() < 5 * 0.5 / math.sqrt(40_000)).all()


# The loss terms


def test_reconstruction_is_minus_log_p_averaged_over_the_draws() -> None:
    term = Reconstruction(Reconstruction.Config(), (4,))
    log_prob = torch.tensor([[-1.0, -2.0, 3.0], [-3.0, -6.0, 1.0]])  # K = 2 draws for B = 3 data
    assert term(passed(log_prob=log_prob)).tolist() == [2.0, 4.0, -2.0]


def test_kl_is_summed_over_the_dimensions_of_each_datum() -> None:
    kl = torch.tensor([[1.0, 0.5], [0.0, 2.0], [3.0, 0.25]])
    assert kl_term()(passed(kl=kl)).tolist() == [1.5, 2.0, 3.25]


def test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_items() -> None:
    log_prob, kl = torch.randn(4, 6), torch.rand(6, 3)
    term = Reconstruction(Reconstruction.Config(), (4,))
    alone = torch.stack([term(passed(log_prob=log_prob[:, i : i + 1])).mean() for i in range(6)])
    torch.testing.assert_close(term(passed(log_prob=log_prob)).mean(), alone.mean())
    alone = torch.stack([kl_term()(passed(kl=kl[i : i + 1])).mean() for i in range(6)])
    torch.testing.assert_close(kl_term()(passed(kl=kl)).mean(), alone.mean())


def test_the_objective_does_not_depend_on_the_size_of_the_batch() -> None:
    model, x, weights = build(run_config(), (4,)), torch.rand(1, 4), torch.tensor([1.0, 1.0])
    with torch.no_grad():
        model.sampler.log_var.bias.fill_(-80.0)  # z is the mean, to machine precision
        model.sampler.log_var.weight.zero_()
        one, many = (objective(model, x.expand(size, 4), weights)[1] for size in (1, 64))
    torch.testing.assert_close(one, many)


def test_free_bits_are_a_floor_for_the_batch_mean_of_each_dimension() -> None:
    kl = torch.tensor([[0.1, 2.0, 0.0], [0.3, 4.0, 1.2]])  # means over the batch: 0.2, 3, 0.6
    assert kl_term(free_bits=0.5)(passed(kl=kl)).item() == pytest.approx(0.5 + 3 + 0.6)
    assert kl_term(free_bits=5)(passed(kl=kl)).item() == pytest.approx(15)
    assert kl_term(free_bits=1e-9)(passed(kl=kl)).item() == pytest.approx(kl_term()(passed(kl=kl)).mean().item())


def test_free_bits_stop_the_pressure_on_a_dimension_below_them() -> None:
    kl = torch.tensor([[0.1, 2.0], [0.3, 4.0]], requires_grad=True)
    kl_term(free_bits=0.5)(passed(kl=kl)).backward()
    assert kl.grad.tolist() == [[0.0, 0.5], [0.0, 0.5]]


def test_negative_free_bits_are_refused() -> None:
    with pytest.raises(ValidationError, match="free_bits"):
        KL.Config.model_validate({"free_bits": -0.1})


def test_only_the_kl_needs_a_kl() -> None:
    assert KL.needs == ("encoder", "kl")
    assert Reconstruction.needs == ("encoder",)


@pytest.mark.parametrize("beta", [0, 0.25, 4])
def test_the_weight_of_the_kl_is_beta(beta: float) -> None:
    model = build(run_config(loss=["reconstruction", {"name": "kl", "weight": beta}]), (4,))
    weights = Trainer(model, model.config.training).weights_at(0)
    assert weights == {"reconstruction": 1.0, "kl": beta}
    loss, figures, _ = objective(model, torch.rand(8, 4), torch.tensor(list(weights.values())))
    reconstruction, kl = figures["reconstruction"], figures["kl"]
    assert loss.item() == pytest.approx((reconstruction + beta * kl).item(), rel=1e-6)
    assert kl > 0


def test_the_weight_may_be_a_ramp() -> None:
    ramp = {"from": 0, "to": 2, "epochs": 4}
    model = build(run_config(loss=["reconstruction", {"name": "kl", "weight": ramp}]), (4,))
    trainer = Trainer(model, model.config.training)
    assert [trainer.weights_at(epoch)["kl"] for epoch in (0, 1, 2.5, 4, 9)] == [0.0, 0.5, 1.25, 2.0, 2.0]


@pytest.mark.parametrize("weight", [True, "1", [1], {"from": 0}])
def test_a_weight_that_is_neither_number_nor_ramp_is_refused(weight: object) -> None:
    with pytest.raises(ValidationError, match="weight"):
        Reconstruction.Config.model_validate({"weight": weight})


def test_the_elbo_is_reported_whatever_the_weights_are() -> None:
    terms = [{"name": "reconstruction", "weight": 0.5}, {"name": "kl", "weight": 3}]
    model = build(run_config(loss=terms), (4,))
    total = Total(torch.float64)
    figures = objective(model, torch.rand(8, 4), torch.tensor([0.5, 3.0]))[1]
    total.add(figures, 8)
    scores = total.scores({"reconstruction": 0.5, "kl": 3.0})
    reconstruction, kl = figures["reconstruction"].item(), figures["kl"].item()
    assert scores.elbo == pytest.approx(-reconstruction - kl)
    assert scores.loss == pytest.approx(0.5 * reconstruction + 3 * kl)


def test_log_q_is_computed_in_training_only_where_something_needs_it(variant: Any) -> None:
    def reads(self: Any, forward: Any) -> Any:
        return forward.latent.log_q.mean(0)

    x = torch.rand(3, 4)
    term = variant(Reconstruction, needs=("encoder", "log_q"), forward=reads)
    for there, changes in (
        (False, {}),
        (True, {"prior": "mixture"}),
        (True, {"loss": ["reconstruction", "kl", term]}),
    ):
        model = built((4,), **changes)
        assert (model.train().posterior(x, 2).log_q is not None) == there
        assert model.eval().posterior(x, 2).log_q is not None
        model.train()(x)
    undeclared = variant(Reconstruction, forward=reads)
    with pytest.raises(ComponentError, match=f"loss '{undeclared}'.*'NoneType'"):
        built((4,), loss=["reconstruction", "kl", undeclared])
