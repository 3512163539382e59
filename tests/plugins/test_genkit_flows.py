"""The posterior by flows: Jacobians by autograd, densities against their integrals, and what it makes of a model."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from genkit.errors import ComponentError
from genkit.interfaces import Schema, Side
from genkit.model.model import Model
from genkit_flows import FlowSampler
from genkit_flows.autoregressive import AutoregressiveFlow
from genkit_flows.flow import Flow
from genkit_flows.planar import PlanarFlow
from tests.models import built

try:
    import zuko
except ImportError:
    zuko = None
needs_zuko = pytest.mark.skipif(zuko is None, reason="needs zuko, of the extra `flows`")
FORMS = ["planar", pytest.param("iaf", marks=needs_zuko), pytest.param("spline", marks=needs_zuko)]


@pytest.fixture(autouse=True)
def seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        yield


def sampler(form: str, latent: int = 2, transforms: int = 3) -> FlowSampler:
    config = FlowSampler.Config.model_validate({"form": form, "latent": latent, "transforms": transforms})
    return FlowSampler(config, (5,)).double()


def flow_of(form: str, size: int) -> Flow:
    if form == "planar":
        return PlanarFlow(size, 3).double()
    return AutoregressiveFlow(size, "affine" if form == "iaf" else "spline", 3, (16,), context=4).double()


def made(**changes: Any) -> Model:
    return built((4,), **{"sampler": {"name": "flow", "form": "planar", "latent": 2}, **changes})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 3])
def test_the_log_determinant_is_that_of_the_jacobian_by_autograd(form: str, size: int) -> None:
    flow = flow_of(form, size)
    noise, context = torch.randn(6, size).double() * 2, torch.randn(6, flow.context_size).double()
    _, log_det = flow(noise, context)
    jacobians = [torch.func.jacrev(lambda z, c=c: flow(z, c)[0])(z) for z, c in zip(noise, context, strict=True)]  # type: ignore[misc]
    torch.testing.assert_close(log_det, torch.stack([torch.linalg.slogdet(each).logabsdet for each in jacobians]))
    assert log_det.abs().max() > 0.01


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 3])
def test_the_way_back_is_the_inverse(form: str, size: int) -> None:
    flow = flow_of(form, size)
    noise, context = torch.randn(4, 6, size).double() * 2, torch.randn(6, flow.context_size).double()
    z, _ = flow(noise, context)
    torch.testing.assert_close(flow.back(z, context), noise, atol=1e-6, rtol=1e-6)


def test_the_gradient_of_the_inverse_of_a_planar_flow_is_that_of_finite_differences() -> None:
    flow = flow_of("planar", 2)
    z, context = torch.randn(3, 2).double(), torch.randn(3, flow.context_size).double()
    assert torch.autograd.gradcheck(flow.back, (z.requires_grad_(), context.requires_grad_()))


def test_a_planar_flow_is_invertible_whatever_its_context() -> None:
    flow = flow_of("planar", 2)
    z, context = torch.randn(500, 2).double(), torch.randn(500, flow.context_size).double() * 10
    _, log_det = flow(z, context)
    assert log_det.isfinite().all()
    assert log_det.min() < -2
    torch.testing.assert_close(flow.back(flow(z, context)[0], context), z, atol=1e-5, rtol=1e-5)


def grid(ends: float, points: int, size: int) -> tuple[Tensor, float]:
    """Points (P, size), and the volume of a cell."""
    axis = torch.linspace(-ends, ends, points).double()
    return torch.cartesian_prod(*[axis] * size).reshape(-1, size), float(axis[1] - axis[0]) ** size


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 2])
def test_the_density_integrates_to_one_and_has_the_moments_of_the_draws(form: str, size: int) -> None:
    part, features = sampler(form, size, 2), torch.randn(1, 5).double()
    with torch.no_grad():
        latent = part(features, 10_000)
        points, cell = grid(10, 4_000 if size == 1 else 120, size)
        density = part.log_q(points.unsqueeze(1), latent.mean, latent.extra).exp()[:, 0] * cell
    assert float(density.sum()) == pytest.approx(1, abs=2e-3)
    z = latent.z[:, 0]
    mean = (density * points).sum(0)
    assert ((z.mean(0) - mean).abs() < 5 * z.std(0) / 100).all()
    torch.testing.assert_close(z.var(0), (density * (points - mean).square()).sum(0), rtol=0.1, atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_the_log_ratio_is_against_the_standard_normal_and_the_mean_is_where_the_flow_brings_the_mean(form: str) -> None:
    part, features = sampler(form), torch.randn(6, 5).double()
    latent = part(features, 7)
    torch.testing.assert_close(latent.log_q - latent.log_ratio, Normal(0.0, 1.0).log_prob(latent.z).sum(2))
    assert latent.kl is None
    part.log_var.weight.data.zero_()
    part.log_var.bias.data.fill_(-40.0)
    torch.testing.assert_close(part(features, 1).z[0], latent.mean, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_the_flow_depends_on_the_datum(form: str) -> None:
    part = sampler(form)
    latent = part(torch.randn(1, 5).double().expand(2, 5).contiguous(), 3)
    latent.extra["context"].data[1] += 1
    one, other = part.log_q(latent.z[:, :1], latent.mean, latent.extra).unbind(1)
    assert (one - other).abs().min() > 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_no_draws_and_no_data_pass(form: str) -> None:
    model = made(sampler={"name": "flow", "form": form, "latent": 3}).eval()
    latent = model(torch.rand(4, 4), 0).latent
    assert (latent.z.shape, latent.log_q.shape, latent.mean.shape) == ((0, 4, 3), (0, 4), (4, 3))
    assert model.encode(torch.rand(0, 4)).shape == (0, 3)


@pytest.mark.parametrize("form", FORMS)
def test_it_goes_with_priors_conditions_and_bounds(form: str) -> None:
    parts = {
        "sampler": {"name": "flow", "form": form, "latent": 2},
        "condition": ["labels"],
        "prior": {"name": "mixture", "components": 2},
        "loss": {"name": "iwae", "estimator": "dreg", "draws": 3},
    }
    model = built(Schema((4,), {"labels": Side((), 3)}), **parts)
    passed = model(torch.rand(6, 4), side={"labels": torch.arange(6) % 3})
    model.losses["iwae"](passed).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    vamp = made(sampler=parts["sampler"], prior={"name": "vamp", "components": 3})
    assert vamp(torch.rand(6, 4), 2).latent.log_ratio.isfinite().all()
    assert vamp.draw(5).shape == (5, 2)


def test_without_zuko_a_planar_flow_works_and_the_others_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "zuko"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "zuko", None)
    made()
    with pytest.raises(ComponentError, match=r"sampler 'flow' .* needs zuko; pip install 'genkit-torch\[flows\]'"):
        made(sampler="flow")
