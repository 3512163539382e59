"""The likelihoods, against scipy, torch.distributions, enumeration and integrals."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from torch import Tensor
from torch.distributions import ContinuousBernoulli

from genkit.errors import ComponentError, DataError
from genkit.interfaces import FactorizedLikelihood, Schema, Side
from genkit.registry.registry import installed
from genkit.runs.opening import as_config
from genkit.runs.preflight import check
from genkit.runs.running import run
from tests.models import built

DRAWS = 20_000
SHAPE = (2, 3)


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def made(name: str, shape: tuple[int, ...] = SHAPE, **options: Any) -> Any:
    component = installed().find("likelihood", name)
    facts = {"mask": Side(shape)} if name == "masked" else {}
    likelihood = component(component.Config.model_validate({"name": name, **options}), shape, **facts).double()
    with torch.no_grad():
        for parameter in likelihood.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return likelihood


def randn(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def array(value: Tensor) -> Any:
    return value.detach().numpy()


# Locations and scales


SCALES = (0.3, "learned", "per_value", "decoder")


def scipy_of(likelihood: Any, params: Tensor) -> Any:
    """The distribution of scipy with these parameters, written down anew."""
    if likelihood.source == "decoder":  # (T, F): twice as many features
        location, scale = params[..., :3], 0.01 + params[..., 3:].exp()
    else:
        free = likelihood.log_scale.exp()
        location, scale = params, 0.01 + free if likelihood.source == "per_value" else free
    location, scale = array(location), np.broadcast_to(array(scale), location.shape)
    if hasattr(likelihood, "degrees"):
        return stats.t(likelihood.degrees.item(), location, scale)
    return {"gaussian": stats.norm, "laplace": stats.laplace}[likelihood.Config().name](location, scale)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("name", "options"), [("gaussian", {}), ("laplace", {}), ("student_t", {}), ("student_t", {"degrees": "learned"})]
)
def test_densities_with_each_scale_are_those_of_scipy(name: str, options: dict[str, Any], scale: Any) -> None:
    likelihood = made(name, scale=scale, **options)
    params, x = randn(4, 5, *likelihood.params_shape), 3 * randn(5, *SHAPE)
    theirs = scipy_of(likelihood, params)
    np.testing.assert_allclose(array(likelihood.log_density(x, params)), theirs.logpdf(array(x)), rtol=1e-5)
    np.testing.assert_allclose(array(likelihood.log_prob(x, params)), theirs.logpdf(array(x)).sum((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(array(likelihood.mean(params)), theirs.mean())
    with torch.no_grad():
        drawn = likelihood.sample(params[0, 0].expand(DRAWS, *likelihood.params_shape))
    cdf = scipy_of(likelihood, params[0, 0]).cdf(array(drawn))
    for place in itertools.product(*map(range, SHAPE)):
        assert stats.kstest(cdf[:, *place], "uniform").pvalue > 1e-4


@pytest.mark.parametrize("scale", ["per_value", "decoder"])
def test_a_scale_for_each_value_has_a_floor_and_starts_near_one(scale: str) -> None:
    component = installed().find("likelihood", "gaussian")
    likelihood = component(component.Config(scale=scale, least_scale=0.2), (3,))
    params = torch.zeros(1, 1, *likelihood.params_shape)
    at_start = likelihood.located(params)[1].exp()
    torch.testing.assert_close(at_start, torch.full_like(at_start, 1.0 if scale == "per_value" else 1.2))
    for parameter in likelihood.parameters():
        parameter.data.fill_(-50)
    least = likelihood.located(params - 50)[1].exp()
    torch.testing.assert_close(least, torch.full_like(least, 0.2))


def test_per_value_scales_have_their_optimum_at_the_root_mean_square_error_of_each_value() -> None:
    likelihood, x = made("gaussian", scale="per_value"), randn(500, *SHAPE) * torch.arange(1.0, 7).view(SHAPE)
    rms = x.square().mean(0).sqrt()
    with torch.no_grad():
        likelihood.log_scale.copy_((rms - 0.01).log())
    likelihood.log_prob(x, torch.zeros(1, 500, *SHAPE, dtype=torch.float64)).mean().backward()
    assert likelihood.log_scale.grad.abs().max() < 1e-5


@pytest.mark.parametrize("degrees", [1, 0.5, -2, True, "many", float("nan")])
def test_degrees_without_a_mean_are_refused(degrees: object) -> None:
    with pytest.raises(ValidationError, match="must be a number above 1"):
        made("student_t", degrees=degrees)


# Continuous Bernoulli


def test_the_continuous_bernoulli_is_that_of_torch_away_from_one_half_and_smooth_near_it() -> None:
    likelihood, x = made("continuous_bernoulli", (1,)), torch.rand(200, 1, dtype=torch.float64)
    logits = torch.cat([torch.linspace(-14, 14, 200, dtype=torch.float64), torch.logspace(-12, 0, 100).double()])
    params = logits.view(-1, 1, 1)
    theirs = ContinuousBernoulli(logits=params, lims=(0.4999, 0.5001))
    ours = likelihood.log_density(x, params.expand(-1, 200, 1))
    torch.testing.assert_close(ours, theirs.log_prob(x.unsqueeze(0)), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(likelihood.mean(params), theirs.mean, rtol=1e-5, atol=1e-6)
    grid = torch.linspace(0, 1, 4001, dtype=torch.float64).view(-1, 1)
    for logit in (-20.0, -0.6, -0.5, -1e-9, 0.0, 1e-5, 0.4999, 0.5, 0.5001, 7.0):
        at = torch.full((1, 4001, 1), logit, dtype=torch.float64)
        density = likelihood.log_density(grid, at)[0].exp()
        assert torch.trapezoid(density[:, 0], grid[:, 0]).item() == pytest.approx(1, abs=1e-5)
        mean = torch.trapezoid((density * grid)[:, 0], grid[:, 0]).item()
        assert likelihood.mean(at[0, 0]).item() == pytest.approx(mean, abs=1e-5)


def test_gradients_of_the_continuous_bernoulli_are_x_less_the_mean_and_finite_at_extremes() -> None:
    likelihood = made("continuous_bernoulli", (1,)).float()
    values = [-1e6, -90.0, -3.0, -0.5, -1e-7, 0.0, 1e-3, 0.49, 0.51, 20.0, 1e6]
    params = torch.tensor(values).view(-1, 1, 1).requires_grad_()
    log_prob = likelihood.log_prob(torch.full((1, 1), 0.7), params)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    torch.testing.assert_close(params.grad, 0.7 - likelihood.mean(params.detach()), atol=2e-6, rtol=1e-5)


def test_draws_of_the_continuous_bernoulli_follow_its_distribution() -> None:
    likelihood = made("continuous_bernoulli", (5,))
    logits = torch.tensor([-40.0, -2.0, 0.0, 1e-7, 5.0], dtype=torch.float64)
    drawn = likelihood.sample(logits.expand(DRAWS, 5))
    cdf = torch.where(logits == 0, drawn, torch.expm1(logits * drawn) / torch.expm1(logits))
    assert all(stats.kstest(column, "uniform").pvalue > 1e-4 for column in array(cdf).T)


# Levels


def all_data(levels: int, low: float, high: float) -> Tensor:
    values = torch.linspace(low, high, levels, dtype=torch.float64).tolist()
    return torch.tensor(list(itertools.product(values, repeat=2)), dtype=torch.float64)


LEVELS = [
    ("categorical", {"levels": 6}, (0.0, 5.0)),
    ("categorical", {"levels": 17, "range": [0, 1]}, (0.0, 1.0)),
    ("discretized_logistic", {"levels": 17}, (0.0, 1.0)),
    ("discretized_logistic", {"levels": 7, "range": [-3, 3], "components": 3}, (-3.0, 3.0)),
    ("discretized_logistic", {"levels": 2}, (0.0, 1.0)),
]


@pytest.mark.parametrize(("name", "options", "ends"), LEVELS)
@pytest.mark.parametrize("spread", [1.0, 8.0])
def test_the_masses_of_all_data_sum_to_one_and_mean_and_draws_are_theirs(
    name: str, options: dict[str, Any], ends: tuple[float, float], spread: float
) -> None:
    likelihood, every = made(name, (2,), **options), all_data(options["levels"], *ends)
    params = spread * randn(*likelihood.params_shape)
    masses = likelihood.log_prob(every, params.expand(1, len(every), -1))[0].exp()
    assert masses.sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(likelihood.mean(params), masses @ every)
    with torch.no_grad():
        drawn = likelihood.sample(params.expand(DRAWS, -1))
    counts = (drawn.unsqueeze(1) - every).abs().sum(2).argmin(1).bincount(minlength=len(every)) / DRAWS
    assert (drawn.unsqueeze(1) - every).abs().sum(2).min(1).values.max() < 1e-6
    assert ((counts - masses).abs() < 6 * (masses / DRAWS).sqrt() + 1e-4).all()


def test_the_masses_of_256_levels_are_those_of_scipy_and_sum_to_one() -> None:
    likelihood = made("discretized_logistic", (1,), components=2)
    params = torch.tensor([0.3, -0.4, -0.2, 0.9, -3.0, -1.0], dtype=torch.float64)
    every = (torch.arange(256, dtype=torch.float64) / 255).unsqueeze(1)
    masses = array(likelihood.log_prob(every, params.expand(1, 256, -1))[0].exp())
    edges = np.concatenate([[-np.inf], (2 * np.arange(255) + 1) / 255 - 1, [np.inf]])
    weights = np.exp([0.3, -0.4]) / np.exp([0.3, -0.4]).sum()
    scales = 1e-3 + np.exp([-3.0, -1.0])
    wanted = sum(
        w * np.diff(stats.logistic(m, s).cdf(edges)) for w, m, s in zip(weights, [-0.2, 0.9], scales, strict=True)
    )
    np.testing.assert_allclose(masses, wanted, rtol=1e-6, atol=1e-15)
    assert masses.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("name", "options", "ends"), LEVELS)
@pytest.mark.parametrize("size", [0.0, 50.0, 1e4])
def test_masses_and_gradients_are_finite_at_extreme_parameters(
    name: str, options: dict[str, Any], ends: tuple[float, float], size: float
) -> None:
    likelihood, every = made(name, (2,), **options).float(), all_data(options["levels"], *ends).float()
    for sign in itertools.product([-size, size], repeat=3):
        blocks = torch.tensor(sign).repeat_interleave(-(-likelihood.params_shape[0] // 3))
        params = blocks[: likelihood.params_shape[0]].expand(1, len(every), -1).clone().requires_grad_()
        log_prob = likelihood.log_prob(every, params)
        log_prob.sum().backward()
        assert log_prob.isfinite().all()
        assert params.grad.isfinite().all()
        assert likelihood.mean(params).isfinite().all()


@pytest.mark.parametrize("name", ["categorical", "discretized_logistic"])
def test_ranges_that_fall_and_single_levels_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="the first level, 1, must lie below the last, 0"):
        made(name, levels=4, range=[1, 0])
    with pytest.raises(ValidationError, match="levels"):
        made(name, levels=1)


def test_data_between_the_levels_are_refused_with_the_remedy() -> None:
    model = built((4,), likelihood={"name": "categorical", "levels": 17, "range": [0, 1]})
    assert model.encode(torch.arange(16.0).view(4, 4) / 16).shape == (4, 2)
    with pytest.raises(DataError, match=r"'categorical' takes 17 values, in steps of 0\.0625 from 0 to 1.*have 0\.1:"):
        model.encode(torch.full((2, 4), 0.1))
    with pytest.raises(DataError, match="takes values from 0 to 1, and the data go from 2 to 2"):
        model.encode(torch.full((2, 4), 2.0))
    whole = built((4,), likelihood={"name": "categorical", "levels": 3})
    with pytest.raises(DataError, match="takes whole numbers from 0"):
        whole.encode(torch.full((2, 4), 0.5))
    with pytest.raises(DataError, match="takes values from 0 to 2, and the data go from 3 to 3"):
        whole.encode(torch.full((2, 4), 3.0))


def test_bytes_have_256_levels_of_a_float32_each() -> None:
    model = built((4,), likelihood="discretized_logistic")
    x = torch.arange(256, dtype=torch.uint8).view(-1, 4)
    assert model.encode(x).shape == (64, 2)
    places = model.likelihood.places(x / 255)
    assert torch.equal(places.flatten(), torch.arange(256))


def test_a_check_of_a_config_reports_data_between_the_levels() -> None:
    parts = {"encoder": "mlp", "sampler": {"name": "gaussian", "latent": 2}, "decoder": "mlp", "loss": "reconstruction"}
    config = {**parts, "data": "digits", "likelihood": "discretized_logistic"}
    (message,) = check(as_config(config), probe=False).errors
    assert "the training split: likelihood 'discretized_logistic' takes 256 values" in message
    assert check(as_config({**config, "likelihood": {"name": "discretized_logistic", "levels": 17}})).errors == []


# Zeros and masks


@pytest.mark.parametrize("name", ["poisson", "negative_binomial"])
def test_inflated_zeros_are_those_of_the_option_of_counts(name: str) -> None:
    wrapped, own = made("zero_inflated", (3,), of=name), made(name, (3,), zero_inflated=True)
    own.load_state_dict({key.removeprefix("of."): value for key, value in wrapped.state_dict().items()})
    params, x = randn(4, 5, 6), torch.tensor([[0.0, 1.0, 7.0]], dtype=torch.float64).expand(5, 3)
    theirs = torch.stack([params[..., 3:], params[..., :3]], 2)  # theirs: log-means, then logits of zeros
    torch.testing.assert_close(wrapped.log_prob(x, params), own.log_prob(x, theirs))
    torch.testing.assert_close(wrapped.mean(params), own.mean(theirs))
    assert wrapped.whole_numbers
    assert wrapped.support == own.support


def test_zero_inflated_poisson_is_that_of_its_formula_and_sums_to_one() -> None:
    likelihood, params = made("zero_inflated", (1,), of="poisson"), torch.tensor([0.4, 1.1], dtype=torch.float64)
    x = torch.arange(60, dtype=torch.float64).unsqueeze(1)
    masses = array(likelihood.log_prob(x, params.expand(1, 60, 2))[0].exp())
    share = 1 / (1 + math.exp(-0.4))
    np.testing.assert_allclose(
        masses, share * (x[:, 0] == 0).numpy() + (1 - share) * stats.poisson(math.exp(1.1)).pmf(x[:, 0])
    )
    assert masses.sum() == pytest.approx(1, abs=1e-9)
    drawn = likelihood.sample(params.expand(DRAWS, 2))
    assert ((drawn == 0).double().mean() - masses[0]).abs() < 6 * 0.5 / math.sqrt(DRAWS)
    assert (drawn.mean() - likelihood.mean(params)).abs() < 6 * drawn.std() / math.sqrt(DRAWS)


def test_zeros_beside_a_density_come_from_the_share_alone() -> None:
    likelihood = made("zero_inflated", SHAPE, of={"name": "gaussian", "scale": "decoder"})
    assert likelihood.params_shape == (2, 9)
    params, x = randn(4, 5, 2, 9), randn(5, *SHAPE)
    x[:, 0] = 0
    share = torch.sigmoid(params[..., :3])
    density = stats.norm(array(params[..., 3:6]), 0.01 + np.exp(array(params[..., 6:]))).pdf(array(x))
    wanted = np.log(np.where(array(x) == 0, array(share), (1 - array(share)) * density))
    np.testing.assert_allclose(array(likelihood.log_density(x, params)), wanted, rtol=1e-6)
    grid = torch.linspace(-40, 40, 40_001, dtype=torch.float64).view(-1, 1)
    one = made("zero_inflated", (1,), of="laplace")
    at = torch.tensor([0.7, 0.3], dtype=torch.float64)
    beside = one.log_prob(grid + 1e-9, at.expand(1, len(grid), 2))[0].exp()
    total = torch.trapezoid(beside, grid[:, 0]) + one.log_prob(torch.zeros(1, 1).double(), at.view(1, 1, 2)).exp()
    assert total.item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ("mixed", "'mixed' has one density for a whole datum"),
        ({"name": "poisson", "zero_inflated": True}, r"are \(2, 3\) for data \(3,\); it takes those"),
        ({"name": "discretized_logistic", "range": [1, 2]}, "takes values from 1 to 2, among which is no zero"),
        ({"name": "masked", "of": "gaussian"}, "'masked' reads mask, which likelihood 'zero_inflated' cannot hand on"),
    ],
)
def test_likelihoods_without_zeros_to_inflate_are_refused(of: Any, message: str) -> None:
    with pytest.raises(ComponentError, match=message):
        built((3,), likelihood={"name": "zero_inflated", "of": of})


def test_values_that_are_missing_count_nothing() -> None:
    likelihood, plain = made("masked", SHAPE, of="laplace"), made("laplace", SHAPE)
    params, x, mask = randn(4, 5, *SHAPE), randn(5, *SHAPE), (torch.rand(5, *SHAPE) < 0.5).double()
    log_prob = likelihood.log_prob(x, params, mask=mask)
    torch.testing.assert_close(log_prob, (plain.log_density(x, params) * mask).sum((2, 3)))
    there = torch.where(mask > 0, x, 1e30)
    torch.testing.assert_close(likelihood.log_prob(there, params, mask=mask), log_prob)
    model = built(Schema((3,), {"mask": Side((3,))}), likelihood={"name": "masked", "of": "gaussian"})
    x, mask = torch.randn(2, 3), torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    passed = model(x, side={"mask": mask})
    assert passed.log_prob[0, 1] == 0
    torch.testing.assert_close(
        passed.log_prob[0, 0], torch.distributions.Normal(passed.params[0, 0], 1.0).log_prob(x[0])[[0, 2]].sum()
    )
    with pytest.raises(ComponentError, match=r"are \(4,\) per datum, and it needs one number for each value, \(3,\)"):
        built(Schema((3,), {"mask": Side((4,))}), likelihood={"name": "masked", "of": "gaussian"})


def test_all_of_them_have_a_density_per_value_so_that_steps_that_are_not_there_count_nothing() -> None:
    schema = Schema((4, 2), {"mask": Side((4,))})
    x, mask = torch.zeros(3, 4, 2), torch.tensor([[1.0, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]])
    each = [
        "laplace",
        "student_t",
        "continuous_bernoulli",
        "discretized_logistic",
        {"name": "categorical", "levels": 3},
    ]
    for likelihood in [*each, "poisson", {"name": "negative_binomial", "zero_inflated": True}]:
        model = built(schema, likelihood=likelihood)
        assert isinstance(model.likelihood, FactorizedLikelihood)
        passed = model.eval()(x, side={"mask": mask})
        per_step = model.likelihood.log_density(x, passed.params)[0].sum(2)
        torch.testing.assert_close(passed.log_prob[0], (per_step * mask).sum(1))


# In training


def config(likelihood: Any, **data: Any) -> dict[str, Any]:
    return {
        "data": {"name": "digits", **data},
        "encoder": {"name": "mlp", "hidden": [32]},
        "sampler": {"name": "gaussian", "latent": 4},
        "decoder": {"name": "mlp", "hidden": [32]},
        "likelihood": likelihood,
        "loss": ["reconstruction", "kl"],
        "training": {"epochs": 4, "batch_size": 64, "optimizer": {"name": "adam", "lr": 3e-3}},
    }


@pytest.mark.slow
def test_levels_that_know_their_neighbours_and_those_that_do_not_are_learned(bare: None, tmp_path: Any) -> None:
    elbo = {
        name: run(config({"name": name, "levels": 17, "range": [0, 1]}), out=tmp_path / name).evaluation.elbo
        for name in ("categorical", "discretized_logistic")
    }
    uniform = -64 * math.log(17)
    assert all(uniform + 50 < value < 0 for value in elbo.values())
