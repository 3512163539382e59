"""The von Mises-Fisher posterior and its prior, against scipy and mpmath."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import mpmath
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from scipy import special, stats
from torch import Tensor

from genkit.errors import ComponentError
from genkit_sphere import SpherePrior, VonMisesFisherSampler
from genkit_sphere.polar import Polar, log_area
from tests.models import built

DRAWS = 40_000
DIMENSIONS = [2, 3, 4, 11, 40]
CONCENTRATIONS = [0.0, 1e-3, 0.1, 1.0, 5.0, 30.0, 1e3, 1e5]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def vmf(latent: int, dtype: torch.dtype = torch.float32) -> VonMisesFisherSampler:
    return VonMisesFisherSampler(VonMisesFisherSampler.Config(latent=latent), (5,)).to(dtype)


def fixed(mean: Tensor, kappa: float) -> VonMisesFisherSampler:
    """A sampler with one posterior, whatever the features; `mean` and the head of κ get its gradients."""
    sampler = vmf(len(mean), mean.dtype)
    with torch.no_grad():
        for parameter in sampler.parameters():
            parameter.zero_()
        sampler.mean.bias.copy_(mean)
        sampler.concentration.bias.fill_(math.log(math.expm1(kappa - 1)))
    return sampler


def direction(size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return F.normalize(torch.randn(size, dtype=dtype), dim=0)


def bessel(nu: Any, kappa: float) -> Any:
    return mpmath.besseli(nu, mpmath.mpf(kappa))


def log_normalizer(size: int, kappa: float) -> float:
    """Log of √π Γ(ν + ½) (2 / κ)^ν I_ν(κ) exp(−κ)."""
    nu = mpmath.mpf(size) / 2 - 1
    if kappa == 0:
        return float(mpmath.log(mpmath.beta(0.5, nu + 0.5)))
    value = mpmath.sqrt(mpmath.pi) * mpmath.gamma(nu + 0.5) * (2 / mpmath.mpf(kappa)) ** nu * bessel(nu, kappa)
    return float(mpmath.log(value) - kappa)


def height(size: int, kappa: float) -> float:
    """1 − I_{ν+1}(κ) / I_ν(κ)."""
    nu = mpmath.mpf(size) / 2 - 1
    return 1.0 if kappa == 0 else float(1 - bessel(nu + 1, kappa) / bessel(nu, kappa))


# The normalizer


@pytest.mark.parametrize("size", [*DIMENSIONS, 500])
def test_the_normalizer_and_its_gradient_are_those_of_bessel_functions_in_float32(size: int) -> None:
    polar, kappa = Polar(size), torch.tensor(CONCENTRATIONS, requires_grad=True)
    with mpmath.workdps(40):
        exact = torch.tensor([log_normalizer(size, each) for each in CONCENTRATIONS])
        heights = torch.tensor([height(size, each) for each in CONCENTRATIONS])
    quadrature = polar(kappa)
    values = polar.log_normalizer(quadrature)
    torch.testing.assert_close(values, exact, atol=3e-5, rtol=2e-6)
    torch.testing.assert_close(quadrature.height, heights, atol=0, rtol=2e-6)
    (slope,) = torch.autograd.grad(values.sum(), kappa)
    torch.testing.assert_close(-slope, heights, atol=0, rtol=2e-6)


def test_the_normalizer_is_that_of_scipys_scaled_bessel_function_in_float64() -> None:
    kappa = torch.logspace(-2, 5, 40, dtype=torch.float64, requires_grad=True)
    for size in (2, 3, 5, 12, 41):
        nu = size / 2 - 1
        theirs = torch.from_numpy(special.ive(nu, kappa.detach().numpy()))
        log_bessel = theirs.log() - nu * torch.log(kappa.detach() / 2)
        polar = Polar(size).double()
        ours = polar.log_normalizer(polar(kappa)) - math.log(math.pi) / 2 - math.lgamma(nu + 0.5)
        torch.testing.assert_close(ours, log_bessel, atol=1e-7, rtol=1e-7)
        (slope,) = torch.autograd.grad(ours.sum(), kappa)
        ratio = torch.from_numpy(special.ive(nu + 1, kappa.detach().numpy())) / theirs
        torch.testing.assert_close(slope, ratio - 1, atol=1e-7, rtol=1e-6)


def test_the_kl_has_the_second_derivative_of_the_log_normalizer() -> None:
    """KL = κ A − log Z + constant, so that dKL/dκ = κ A'(κ), with A' = 1 − A² − (D − 1) A / κ."""
    size, kappa = 6, torch.tensor([0.5, 4.0, 60.0], dtype=torch.float64, requires_grad=True)
    polar = Polar(size).double()
    quadrature = polar(kappa)
    kl = -polar.log_normalizer(quadrature) - kappa * quadrature.height
    (slope,) = torch.autograd.grad(kl.sum(), kappa)
    length = 1 - quadrature.height.detach()
    torch.testing.assert_close(slope, kappa * (1 - length.square()) - (size - 1) * length, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize(("size", "area"), [(1, 2), (2, 2 * math.pi), (3, 4 * math.pi), (4, 2 * math.pi**2)])
def test_areas_of_spheres(size: int, area: float) -> None:
    assert log_area(size) == pytest.approx(math.log(area))


# The posterior


@pytest.mark.parametrize("kappa", [1.2, 8.0, 300.0])
@pytest.mark.parametrize("size", DIMENSIONS)
def test_density_entropy_and_moments_are_those_of_scipy(size: int, kappa: float) -> None:
    mean = direction(size, torch.float64)
    theirs = stats.vonmises_fisher(mean.numpy(), kappa)
    latent = fixed(mean, kappa)(torch.randn(1, 5, dtype=torch.float64), DRAWS)
    z = latent.z[:, 0].detach()
    torch.testing.assert_close(z.norm(dim=1), torch.ones(DRAWS, dtype=torch.float64))
    expected = torch.as_tensor(theirs.logpdf(z[:100].numpy()))
    torch.testing.assert_close(latent.log_q[:100, 0], expected, atol=1e-6, rtol=1e-6)
    entropy = float(theirs.entropy())
    assert latent.kl.item() == pytest.approx(log_area(size) - entropy, abs=1e-6)
    length = 1 - height(size, kappa)
    across = (1 - length**2 - (size - 1) * length / kappa) ** 0.5  # the deviation along the mean, Mardia & Jupp 9.3
    along = z @ mean
    assert along.mean().item() == pytest.approx(length, abs=6 * across / DRAWS**0.5)
    assert along.std().item() == pytest.approx(across, rel=0.05)
    residue = z - along.unsqueeze(1) * mean
    assert residue.mean(0).abs().max() < 6 / DRAWS**0.5
    spread = residue.T @ residue / DRAWS
    variance = (1 - length**2 - across**2) / (size - 1)
    projected = variance * (torch.eye(size, dtype=torch.float64) - torch.outer(mean, mean))
    assert (spread - projected).abs().max() < 6 * variance * (3 / DRAWS) ** 0.5


@pytest.mark.parametrize("kappa", [0.0, 2.0, 500.0])
@pytest.mark.parametrize("size", [2, 3, 5, 30])
def test_angles_have_their_distribution_function_at_every_quantile(size: int, kappa: float) -> None:
    polar = Polar(size)
    levels = torch.cat([torch.tensor([0.0, 1e-5, 1 - 1e-5]), torch.linspace(0.001, 0.999, 97)]).unsqueeze(1)
    theta = polar.draw(levels, polar(torch.tensor([kappa])))[:, 0]
    with mpmath.workdps(20):
        total = mpmath.exp(log_normalizer(size, kappa))
        for level, angle in zip(levels[::12, 0].tolist(), theta[::12].tolist(), strict=True):
            steps = mpmath.linspace(0, angle, 4)
            below = mpmath.quad(lambda t: mpmath.sin(t) ** (size - 2) * mpmath.exp(kappa * (mpmath.cos(t) - 1)), steps)
            assert float(below / total) == pytest.approx(level, abs=2e-6)
    assert bool((theta >= 0).all())
    assert bool((theta <= math.pi + 1e-6).all())


@pytest.mark.parametrize("size", [2, 3, 7, 40])
def test_angles_move_with_the_concentration_as_the_inverse_distribution_function_does(size: int) -> None:
    polar = Polar(size)
    levels = torch.tensor([1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999]).unsqueeze(1)
    kappa = torch.tensor([0.7, 12.0, 400.0], requires_grad=True)
    levels = levels.expand(7, 3)
    theta = polar.draw(levels, polar(kappa))
    slopes = torch.stack([torch.autograd.grad(row.sum(), kappa, retain_graph=True)[0] for row in theta])
    wide, at = Polar(size).double(), kappa.detach().double()
    ahead, behind = (wide.draw(levels.double(), wide(at * (1 + step))) for step in (1e-4, -1e-4))
    torch.testing.assert_close(slopes.double(), (ahead - behind) / (2e-4 * at), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("size", [2, 3, 8])
def test_gradients_of_draws_are_those_of_expectations(size: int) -> None:
    """E[w·z] = A(κ) w·mean, and E[(w·z)²] = c + (1 − c D) (w·mean)² with c = A / κ (Mardia & Jupp 2000, 9.3)."""
    mean, weight, bias = direction(size, torch.float64), direction(size, torch.float64), 2.0
    sampler = fixed(mean, bias)
    features = torch.zeros(1, 5, dtype=torch.float64)

    def exact(mean: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        unit, kappa, polar = F.normalize(mean, dim=0), F.softplus(raw) + 1, Polar(size).double()
        length = 1 - polar(kappa).height
        first, c = length * (weight @ unit), length / kappa
        return first.squeeze(), (c + (1 - c * size) * (weight @ unit).square()).squeeze()

    parameters = [sampler.mean.bias, sampler.concentration.bias]
    wanted = [torch.autograd.grad(each, parameters, retain_graph=True) for each in exact(*parameters)]
    estimates: list[list[list[Tensor]]] = [[[], []], [[], []]]
    for _ in range(30):
        drawn = sampler(features, DRAWS // 10).z[:, 0] @ weight
        for moment, value in enumerate((drawn.mean(), drawn.square().mean())):
            for which, slope in enumerate(torch.autograd.grad(value, parameters, retain_graph=True)):
                estimates[moment][which].append(slope)
    for moment, both in enumerate(estimates):
        for which, slopes in enumerate(both):
            each = torch.stack(slopes)
            error = 6 * each.std(0) / 30**0.5 + 1e-12
            assert ((each.mean(0) - wanted[moment][which]).abs() < error).all(), (moment, which)
            assert wanted[moment][which].abs().max() > error.max()  # there is something to see


@pytest.mark.parametrize("first", [1.0, -1.0, 0.0])
def test_gradients_are_bounded_wherever_the_mean_points(first: float) -> None:
    mean = torch.tensor([first, 0.0, 1.0 - abs(first)], dtype=torch.float64)
    sampler, features = fixed(mean + 1e-9, 2.0), torch.zeros(1, 5, dtype=torch.float64)
    z = sampler(features, 200).z[:, 0]
    torch.testing.assert_close(z.norm(dim=1), torch.ones(200, dtype=torch.float64))
    for each in z:
        (slope,) = torch.autograd.grad(each[1], sampler.mean.bias, retain_graph=True)
        assert slope.norm() < 3


def test_the_density_of_each_draw_under_each_posterior() -> None:
    sampler = vmf(4, torch.float64)
    latent = sampler(torch.randn(3, 5, dtype=torch.float64), 2)
    pairs = sampler.log_q(latent.z.unsqueeze(2), latent.mean, latent.extra)
    assert pairs.shape == (2, 3, 3, 1)
    for datum in range(3):
        mean = latent.mean[datum].detach()
        theirs = stats.vonmises_fisher(mean.numpy(), latent.extra["concentration"][datum].item())
        expected = torch.as_tensor(theirs.logpdf(latent.z.detach().flatten(0, 1).numpy())).view(2, 3)
        torch.testing.assert_close(pairs[:, :, datum, 0].detach(), expected, atol=1e-6, rtol=1e-6)


def test_a_concentration_of_zero_is_the_prior() -> None:
    sampler = VonMisesFisherSampler(VonMisesFisherSampler.Config(latent=2, least_concentration=0), (5,))
    with torch.no_grad():
        sampler.concentration.weight.zero_()
        sampler.concentration.bias.fill_(-200.0)
    latent = sampler(torch.randn(3, 5), 5)
    assert latent.kl.abs().max() < 1e-5
    assert latent.log_ratio.abs().max() < 1e-5
    (latent.z.sum() + latent.kl.sum()).backward()
    assert all(p.grad.isfinite().all() for p in sampler.parameters() if p.grad is not None)


@pytest.mark.parametrize("options", [{"latent": 1}, {"least_concentration": -1}])
def test_points_on_a_line_and_negative_concentrations_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        VonMisesFisherSampler.Config.model_validate(options)


# The prior


def test_the_prior_is_uniform_on_the_sphere() -> None:
    prior = SpherePrior(SpherePrior.Config(), (4,))
    z = prior.sample(DRAWS)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(DRAWS))
    theirs = stats.uniform_direction(4)
    assert theirs.dim == 4
    torch.testing.assert_close(prior.log_prob(z[:3]), torch.full((3,), -math.log(2 * math.pi**2)))
    assert stats.kstest((z[:, 0] + 1).numpy() / 2, stats.beta(1.5, 1.5).cdf).pvalue > 1e-4
    assert (torch.cov(z.T) - torch.eye(4) / 4).abs().max() < 0.01
    several = SpherePrior(SpherePrior.Config(), (2, 3))
    assert several.log_prob(several.sample(5)).tolist() == pytest.approx([-2 * math.log(4 * math.pi)] * 5)


def test_priors_of_other_supports_and_points_without_a_sphere_are_refused() -> None:
    with pytest.raises(ComponentError, match=r"prior 'mixture' is a density on reals, and the latents .* in sphere"):
        built((4,), sampler={"name": "vmf", "latent": 3}, prior="mixture")
    with pytest.raises(ComponentError, match=r"prior 'sphere' is a density on sphere, and the latents .* in reals"):
        built((4,), prior="sphere")
    with pytest.raises(ComponentError, match=r"prior 'sphere': points .* at least 2 coordinates.*sampler.latent"):
        SpherePrior(SpherePrior.Config(), (1,))


def test_its_own_prior_keeps_the_exact_kl() -> None:
    model = built((4,), sampler={"name": "vmf", "latent": 3}, prior="sphere")
    latent = model.eval()(torch.rand(5, 4), DRAWS).latent
    assert latent.kl.shape == (5, 1)
    ratio = latent.log_q - SpherePrior(SpherePrior.Config(), (3,)).log_prob(latent.z)
    torch.testing.assert_close(ratio, latent.log_ratio, atol=1e-5, rtol=1e-5)
    error = ratio.std(0) / DRAWS**0.5
    assert ((ratio.mean(0) - latent.kl[:, 0]).abs() < 6 * error).all()


def test_training_finds_the_exact_posterior_of_directions() -> None:
    """With p(x|z) = N(z W, σ²), |z W|² = |z|², p(z|x) is vMF with κ = |W x| / σ²: the ELBO becomes log p(x)."""
    torch.manual_seed(2)
    linear, sigma = {"name": "mlp", "hidden": []}, 0.5
    model = built(
        (3,),
        encoder={"name": "mlp", "hidden": [32]},
        decoder=linear,
        sampler={"name": "vmf", "latent": 3, "least_concentration": 0},
        likelihood={"name": "gaussian", "scale": sigma},
    )
    for parameter in model.decoder.parameters():
        parameter.data.copy_(torch.eye(3) if parameter.ndim == 2 else torch.zeros(3))
    model.decoder.requires_grad_(False)
    x = F.normalize(torch.randn(150, 3), dim=1) + sigma * torch.randn(150, 3)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.03)
    for _ in range(100):
        optimizer.zero_grad()
        passed = model(x, 2)
        (passed.latent.divergence.sum(1) - passed.log_prob.mean(0)).mean().backward()
        optimizer.step()
    kappa = x.norm(dim=1) / sigma**2
    polar = Polar(3)
    log_c = polar.log_normalizer(polar(kappa)) + kappa + log_area(2) - log_area(3)
    gaussian = -(x.square().sum(1) + 1) / (2 * sigma**2) - 1.5 * math.log(2 * math.pi * sigma**2)
    with torch.no_grad():
        passed = model.eval()(x, 200)
        elbo = (passed.log_prob.mean(0) - passed.latent.divergence.sum(1)).mean()
        latent = passed.latent
    assert float((gaussian + log_c).mean() - elbo) == pytest.approx(0, abs=0.03)
    assert float((latent.mean * F.normalize(x, dim=1)).sum(1).mean()) > 0.99
    assert float((latent.extra["concentration"][:, 0] / kappa).log().abs().mean()) < 0.2
