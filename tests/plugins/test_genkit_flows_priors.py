"""Priors by flows and by flow matching: densities against integrals, closed forms of Gaussians, and draws."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from genkit.errors import ComponentError, DataError
from genkit.interfaces import FittedPrior, Prior
from genkit.runs.running import resume, run
from genkit_flows import FittedFlowPrior, FlowMatchingPrior, FlowPrior
from tests.models import built

try:
    import zuko
except ImportError:
    zuko = None
needs_zuko = pytest.mark.skipif(zuko is None, reason="needs zuko, of the extra `flows`")
FLOW, FITTED = (pytest.param(each, marks=needs_zuko) for each in (FlowPrior, FittedFlowPrior))
COVARIANCE = torch.tensor([[1.0, 0.8], [0.8, 1.0]])
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        yield


def made(component: Any, size: int = 2, **options: Any) -> Any:
    small = (
        {"hidden": [16], "steps": 300, "batch_size": 100, "lr": 0.01}
        if issubclass(component, FittedPrior)
        else {"hidden": [16]}
    )
    return component(component.Config.model_validate({**small, **options}), (size,))


def clusters(count: int, size: int) -> Tensor:
    """Latents (count, size) of two clusters, of different widths, away from 0."""
    z = torch.randn(count, size) * 0.4 + 3
    z[::3] = torch.randn(len(z[::3]), size) * 0.2 + 1
    return z


def settled(component: Any, size: int) -> Any:
    """A prior that is no Gaussian: fitted to clusters, or with larger weights."""
    prior = made(component, size, **({"steps": 100} if issubclass(component, FittedPrior) else {}))
    if isinstance(prior, FittedPrior):
        with torch.no_grad():
            prior.fit(clusters(2000, size))
        return prior
    for parameter in prior.parameters():
        parameter.data.mul_(1.5)
    return prior


@pytest.mark.parametrize("component", [FLOW, FITTED, FlowMatchingPrior])
@pytest.mark.parametrize("size", [1, 2])
def test_the_density_integrates_to_one_and_has_the_moments_of_the_draws(component: Any, size: int) -> None:
    prior = settled(component, size)
    points = torch.linspace(-10, 10, 2000 if size == 1 else 250)
    cell = float(points[1] - points[0]) ** size
    places = torch.cartesian_prod(*[points] * size).reshape(-1, size)
    with torch.no_grad():
        density, drawn = prior.log_prob(places).exp().double() * cell, prior.sample(10_000)
    assert float(density.sum()) == pytest.approx(1, abs=0.01)
    mean = (density.unsqueeze(1) * places).sum(0)
    variance = (density.unsqueeze(1) * (places - mean).square()).sum(0)
    assert ((drawn.mean(0) - mean).abs() < 5 * drawn.std(0) / 100).all()
    torch.testing.assert_close(drawn.var(0).double(), variance, rtol=0.1, atol=1e-3)


@needs_zuko
@pytest.mark.parametrize("form", ["affine", "spline"])
def test_the_density_of_a_flow_is_by_the_jacobian_of_its_way_to_the_noise(form: str) -> None:
    prior = made(FlowPrior, 3, form=form).double()
    z = torch.randn(5, 3).double()
    noise = prior.flow.back(z, None)
    jacobians = torch.stack([torch.func.jacrev(lambda each: prior.flow.back(each, None))(each) for each in z])
    standard = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    wanted = standard.log_prob(noise) + torch.linalg.slogdet(jacobians).logabsdet
    torch.testing.assert_close(prior.log_prob(z), wanted)
    torch.testing.assert_close(prior.flow(noise, None)[0], z)


def test_a_velocity_has_the_divergence_of_its_jacobian() -> None:
    velocity = made(FlowMatchingPrior, 3, hidden=[8, 7]).double().network
    for parameter in velocity.parameters():
        torch.nn.init.normal_(parameter)
    x, t = torch.randn(4, 5, 3).double(), torch.rand(4, 5, 1).double()
    speed, divergence = velocity.with_divergence(x, t)
    torch.testing.assert_close(speed, velocity(x, t))
    for row, column in ((0, 0), (3, 4)):
        jacobian = torch.func.jacrev(lambda each, at=t[row, column]: velocity(each, at))(x[row, column])
        torch.testing.assert_close(divergence[row, column], jacobian.trace())


@pytest.mark.slow
def test_flow_matching_of_a_gaussian_reaches_the_velocity_and_the_least_loss_of_the_closed_form() -> None:
    """x_t is Gaussian with covariance Σ_t = (1 − t)² I + t² S, and v = (tS − (1 − t) I) Σ_t⁻¹ x_t."""
    prior = made(FlowMatchingPrior, hidden=[32], steps=1500, batch_size=500, lr=0.005)
    exact = MultivariateNormal(torch.zeros(2), COVARIANCE)
    with torch.no_grad():
        prior.fit(exact.sample((8000,)) + torch.tensor([3.0, -1.0]))
        loss = prior.loss(exact.sample((100_000,)))
    times = (torch.arange(1000) + 0.5) / 1000
    covariance, least = torch.eye(2) + COVARIANCE, []
    for t in times.tolist():
        shared, spread = t * COVARIANCE - (1 - t) * torch.eye(2), (1 - t) ** 2 * torch.eye(2) + t**2 * COVARIANCE
        slope = shared @ torch.linalg.inv(spread)
        least.append(float((covariance - slope @ shared).trace()))
        if round(t * 1000 - 0.5) in (100, 500, 900):
            x = MultivariateNormal(torch.zeros(2), spread).sample((2000,))
            missed = prior.network(x, torch.tensor([t])) - x @ slope.T
            assert float(missed.square().sum(1).mean()) < 0.02
    assert float(loss) == pytest.approx(sum(least) / 1000, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("component", "slack"), [pytest.param(FittedFlowPrior, 0.03, marks=needs_zuko), (FlowMatchingPrior, 0.03)]
)
def test_a_fit_to_a_gaussian_has_its_density_and_its_draws(component: Any, slack: float) -> None:
    exact = MultivariateNormal(torch.tensor([3.0, -1.0]), COVARIANCE * 4)
    prior = made(component, steps=400, batch_size=200)
    with torch.no_grad():
        prior.fit(exact.sample((20_000,)))
        held_out, drawn = exact.sample((4000,)), prior.sample(10_000)
        gap = exact.log_prob(held_out) - prior.log_prob(held_out)
    assert float(gap.mean()) == pytest.approx(0, abs=slack)
    torch.testing.assert_close(drawn.mean(0), exact.mean, atol=0.15, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), exact.covariance_matrix, atol=0.35, rtol=0)


@pytest.mark.slow
@needs_zuko
def test_a_flow_that_is_learned_comes_near_the_density_of_its_latents() -> None:
    prior, z = made(FlowPrior), clusters(4000, 2) - 2.5
    optimizer = torch.optim.Adam(prior.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        loss = -prior.log_prob(z[torch.randint(4000, (256,))]).mean()
        loss.backward()
        optimizer.step()
    parts = [MultivariateNormal(torch.full((2,), m), torch.eye(2) * s**2) for m, s in ((0.5, 0.4), (-1.5, 0.2))]
    with torch.no_grad():
        exact = torch.logaddexp(parts[0].log_prob(z) + math.log(2 / 3), parts[1].log_prob(z) + math.log(1 / 3)).mean()
        assert float(-prior.log_prob(z).mean()) == pytest.approx(float(-exact), abs=0.1)


@pytest.mark.parametrize("component", [FITTED, FlowMatchingPrior])
def test_a_latent_that_is_constant_and_a_shape_of_maps_are_fitted(component: Any) -> None:
    prior = component(component.Config(hidden=(8,), steps=20), (2, 2, 2))
    z = torch.randn(100, 2, 2, 2)
    z[:, 0, 1] = 7.0
    with torch.no_grad():
        prior.fit(z)
        drawn = prior.sample(50)
    assert prior.log_prob(drawn).isfinite().all()
    torch.testing.assert_close(drawn[:, 0, 1], torch.full((50, 2), 7.0), atol=0.05, rtol=0)
    assert not any(parameter.requires_grad for parameter in prior.parameters())


@pytest.mark.parametrize("component", [FITTED, FlowMatchingPrior])
def test_too_few_latents_are_refused(component: Any) -> None:
    with pytest.raises(DataError, match=r"15 training data are too few .* at least 16; choose prior: gmm"):
        made(component).fit(torch.randn(15, 2))


def test_without_zuko_flow_matching_works_and_flows_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zuko.transforms", None)
    assert isinstance(built((4,), prior="flow_matching").prior, Prior)
    for name in ("flow", "fitted_flow"):
        with pytest.raises(ComponentError, match=rf"prior '{name}' .* needs zuko; pip install 'genkit-torch\[flows\]'"):
            built((4,), prior=name)


PARTS = {
    "posterior": ["sampler={name: flow, latent: 2}", "prior={name: flow, transforms: 1}"],
    "vamp": ["prior={name: vamp, components: 4}", "loss={name: iwae, draws: 2, estimator: dreg}"],
    "fitted": ["prior={name: flow_matching, steps: 20, hidden: [8]}"],
}


@needs_zuko
@pytest.mark.slow
@pytest.mark.parametrize("parts", PARTS)
def test_a_run_that_is_resumed_ends_as_if_never_interrupted(parts: str, tmp_path: Path, bare: None) -> None:
    options = [*PARTS[parts], "training.compile=false", "encoder.hidden=[16]", "decoder.hidden=[16]"]
    whole = run(EXAMPLES / "vae-digits.yaml", [*options, "training.epochs=4"], out=tmp_path / "whole")
    run(EXAMPLES / "vae-digits.yaml", [*options, "training.epochs=2"], out=tmp_path / "parts")
    again = resume(tmp_path / "parts", epochs=4)
    other = again.model.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in whole.model.state_dict().items())
