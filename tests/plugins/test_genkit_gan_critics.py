"""Critics: relativistic pairs, penalties by hand, the Dirac-GAN, spectral norms, and pairs of data and latents."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import MultivariateNormal

import genkit
from genkit.errors import ComponentError
from genkit.interfaces import Forward, Latent
from genkit.model.model import Model
from genkit.runs.running import resume, run
from genkit_gan import Adversarial, JointAdversarial
from tests.models import built

TANH = {"name": "mlp", "hidden": [7], "activation": "tanh"}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


def term(size: int = 4, **options: Any) -> Adversarial:
    values = {"name": "adversarial", "critic": TANH, **options}
    return Adversarial(Adversarial.Config.model_validate(values), (size,))


def passed(x: Tensor, generated: Tensor, z: Tensor | None = None, drawn: Tensor | None = None) -> Forward:
    """A pass of data of any size, with their latents where there are some."""
    likelihood: Any = SimpleNamespace(support=(-math.inf, math.inf))
    latent = None if z is None else Latent(z.unsqueeze(0), z, None, None)
    return Forward(x, latent, None, None, generated, likelihood, None, drawn)


# The relativistic form and the penalties


def test_the_relativistic_form_pairs_each_datum_with_a_generated_one() -> None:
    critic, x, generated = term(form="relativistic"), torch.randn(6, 4), torch.randn(6, 4)
    ahead = critic.judge(x) - critic.judge(generated)
    torch.testing.assert_close(critic.critic_loss(passed(x, generated)), -F.logsigmoid(ahead))
    torch.testing.assert_close(critic(passed(x, generated)), -F.logsigmoid(-ahead))


@pytest.mark.parametrize("form", ["non_saturating", "hinge", "relativistic"])
def test_penalties_are_half_the_squared_gradients_at_data_and_at_generated_data(form: str) -> None:
    x, generated = torch.randn(6, 4), torch.randn(6, 4)
    plain, penal = term(form=form), term(form=form, r1=0.6, r2=2.0)
    penal.load_state_dict(plain.state_dict())
    added = penal.critic_loss(passed(x, generated)) - plain.critic_loss(passed(x, generated))
    for row in range(6):
        squares = [
            torch.autograd.functional.jacobian(lambda v: plain.judge(v[None])[0], each[row]).square().sum()
            for each in (x, generated)
        ]
        torch.testing.assert_close(added[row].detach(), 0.3 * squares[0] + 1.0 * squares[1])


def test_a_penalty_teaches_the_critic() -> None:
    """For D(x) = wᵀx + b the penalties are (r1 + r2)/2 ‖w‖², whose gradient is (r1 + r2) w."""
    critic = term(critic={"name": "mlp", "hidden": []}, form="relativistic", r1=0.5, r2=1.5)
    x = torch.randn(6, 4)
    weight = critic.critic[2].weight
    (slope,) = torch.autograd.grad(critic.critic_loss(passed(x, x)).mean(), weight)
    torch.testing.assert_close(slope, 2.0 * weight)


def field(critic: Adversarial, theta: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The steps of a Dirac-GAN, θ' and w': data at 0, g = θ, D(x) = wx (Mescheder et al. 2018, definition 2.1)."""
    own = critic.critic[2].weight
    with torch.no_grad():
        own.copy_(weight.view(1, 1))
    theta = theta.detach().view(1, 1).requires_grad_()
    pair = passed(torch.zeros_like(theta), theta)
    (of_model,) = torch.autograd.grad(critic(pair).mean(), theta)
    (of_critic,) = torch.autograd.grad(critic.critic_loss(pair.detached()).mean(), own)
    return -of_model.squeeze(), -of_critic.squeeze()


def dirac(**options: Any) -> Adversarial:
    return term(1, critic={"name": "mlp", "hidden": []}, **options).double()


@pytest.mark.parametrize("penalties", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.5, 0.7), (2.0, 1.0)])
def test_the_dirac_gan_has_the_eigenvalues_of_the_theory(penalties: tuple[float, float]) -> None:
    """λ² + γλ + ¼ = 0 at equilibrium, with γ = r1 + r2: without a penalty the real parts are 0, and nothing converges.

    Mescheder et al. 2018 (arXiv:1801.04406), lemmas 2.2 and 4.1; for R3GAN Huang et al. 2024 (arXiv:2501.05441).
    """
    critic = dirac(form="relativistic", r1=penalties[0], r2=penalties[1])
    zero, small = torch.zeros(()).double(), torch.tensor(1e-4).double()
    columns = [torch.stack(field(critic, *at)) / small for at in ((small, zero), (zero, small))]
    found = sorted(torch.linalg.eigvals(torch.stack(columns, 1)).tolist(), key=lambda each: (each.real, each.imag))
    gamma = sum(penalties)
    root = complex(gamma**2 - 1) ** 0.5
    exact = sorted(((-gamma - root) / 2, (-gamma + root) / 2), key=lambda each: (each.real, each.imag))
    assert found == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("form", ["relativistic", "wasserstein"])
def test_the_dirac_gan_circles_without_a_penalty_and_converges_with_one(form: str) -> None:
    """Steps of both players at once, from θ = w = 1."""
    ends, turns = [], []
    for gamma in (0.0, 0.5):
        critic, angle, before = dirac(form=form, penalty=0.0, r1=gamma, r2=gamma), 0.0, math.pi / 4
        at = torch.ones(2).double()
        for _ in range(800):
            at = at + 0.05 * torch.stack(field(critic, *at))
            now = math.atan2(float(at[1]), float(at[0]))
            angle += (now - before + math.pi) % (2 * math.pi) - math.pi
            before = now
        ends.append(float(at.norm()))
        turns.append(abs(angle) / (2 * math.pi))
    assert turns[0] > 2
    assert ends[0] > 0.4
    assert ends[1] < 0.01


# Spectral norms


@pytest.mark.parametrize("critic", [{"name": "mlp", "hidden": [9, 5]}, {"name": "cnn", "layers": [{"channels": 4}]}])
def test_each_layer_has_a_spectral_norm_of_1(critic: dict[str, Any]) -> None:
    config = Adversarial.Config.model_validate({"critic": critic, "spectral_norm": True})
    adversarial = Adversarial(config, (1, 6, 6)).train()
    with torch.no_grad():
        for parameter in adversarial.parameters():
            parameter.mul_(1.7).add_(torch.randn_like(parameter) * 0.1)
        for step in range(60):
            adversarial.stepped(step, 0.0)
    layers = [layer for layer in adversarial.modules() if hasattr(layer, "parametrizations")]
    assert len(layers) >= 2
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2).detach()) == pytest.approx(1, abs=0.02)


def test_a_normalized_critic_has_slopes_of_at_most_1() -> None:
    critic = term(spectral_norm=True)
    x, y = torch.randn(500, 4), torch.randn(500, 4)
    ratio = (critic.judge(x) - critic.judge(y)).abs() / (x - y).norm(dim=1)
    assert float(ratio.max().detach()) < 1.02


class StopAfter:
    """A listener that interrupts once so many epochs are done."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    @genkit.hookimpl
    def epoch_ended(self, record: Any) -> None:
        if record.epoch == self.epoch:
            raise KeyboardInterrupt


def values(name: str, **options: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "data": {"name": "digits", "size": 8},
        "sampler": {"name": "gaussian", "latent": 3},
        "decoder": TANH,
        "likelihood": "bernoulli",
        "loss": {"name": name, "critic": TANH, "r1": 0.5, "spectral_norm": True, **options},
        "training": {"epochs": 3, "batch_size": 300},
    }
    return parts | ({"encoder": TANH} if name == "joint_adversarial" else {})


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", ["adversarial", "joint_adversarial"])
def test_interrupted_and_resumed_it_ends_as_if_never_interrupted(tmp_path: Path, name: str) -> None:
    options = values(name, form="relativistic", r2=0.5)
    run(options, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(options, out=tmp_path / "stopped", listeners=[StopAfter(2)])
    resume(tmp_path / "stopped")
    whole, stopped = (genkit.load(tmp_path / each).state_dict() for each in ("whole", "stopped"))
    assert any(each.endswith(".u") for each in whole)
    assert all(torch.equal(whole[each], stopped[each]) for each in whole)


# Pairs of data and latents


def joint(size: int = 2, latent: int = 1, **options: Any) -> JointAdversarial:
    critic = JointAdversarial(JointAdversarial.Config.model_validate({"critic": TANH, **options}), (size,))
    critic.attach(SimpleNamespace(sampler=SimpleNamespace(latent_shape=(latent,)), condition_size=0))  # type: ignore[arg-type]
    return critic


def test_critic_and_model_see_both_pairs_with_their_signs_turned() -> None:
    critic, x, generated = joint(), torch.randn(6, 2), torch.randn(6, 2)
    z, drawn = torch.randn(6, 1), torch.randn(6, 1)
    real, fake = critic.judge(x, z, None), critic.judge(generated, drawn, None)
    pair = passed(x, generated, z, drawn)
    torch.testing.assert_close(critic.critic_loss(pair), -F.logsigmoid(real) - F.logsigmoid(-fake))
    torch.testing.assert_close(critic(pair), -F.logsigmoid(-real) - F.logsigmoid(fake))


def test_penalties_are_gradients_by_data_and_latents() -> None:
    x, generated, z, drawn = torch.randn(6, 2), torch.randn(6, 2), torch.randn(6, 1), torch.randn(6, 1)
    plain, penal = joint(), joint(r1=0.6, r2=2.0)
    penal.load_state_dict(plain.state_dict())
    pair = passed(x, generated, z, drawn)
    added = penal.critic_loss(pair) - plain.critic_loss(pair)
    for row in range(6):
        squares = []
        for inputs in ((x[row], z[row]), (generated[row], drawn[row])):
            slopes = torch.autograd.functional.jacobian(lambda v, w: plain.judge(v[None], w[None], None)[0], inputs)
            squares.append(sum(each.square().sum() for each in slopes))
        torch.testing.assert_close(added[row].detach(), 0.3 * squares[0] + 1.0 * squares[1])


def test_encoder_and_decoder_learn_by_it() -> None:
    model: Model = built((5,), loss={"name": "joint_adversarial", "critic": TANH}, condition=())
    forward = model(torch.rand(8, 5))
    assert forward.drawn is not None
    torch.testing.assert_close(forward.generated, model.decoded(forward.drawn))
    model.losses["joint_adversarial"](forward).mean().backward()
    for part in (model.encoder, model.sampler, model.decoder):
        assert all(bool(p.grad.any()) for p in part.parameters())


def test_it_needs_an_encoder_and_a_prior() -> None:
    loss = {"name": "joint_adversarial", "critic": TANH}
    with pytest.raises(ComponentError, match="loss 'joint_adversarial' needs an encoder"):
        built((5,), loss=loss, encoder=None)
    with pytest.raises(ComponentError, match="loss 'joint_adversarial' needs a sampler with a prior"):
        built((5,), loss=loss, sampler={"name": "point", "latent": 2})
    with pytest.raises(ComponentError, match="the critic of loss 'joint_adversarial': encoder 'cnn' takes series"):
        built((5,), loss={"name": "joint_adversarial", "critic": "cnn"})


def gaussians() -> tuple[MultivariateNormal, MultivariateNormal]:
    """Joint distributions of (x, z): data with q(z|x), and p(z) with p(x|z)."""
    a = torch.tensor([[1.0, 0.6], [0.6, 1.2]])
    b = torch.tensor([[1.3, -0.3], [-0.3, 1.0]])
    return MultivariateNormal(torch.tensor([0.3, 0.0]), a), MultivariateNormal(torch.zeros(2), b)


@pytest.mark.slow
def test_the_best_critic_is_the_logarithm_of_the_ratio_of_the_joint_densities() -> None:
    """ALI (arXiv:1606.00704), proposition 1, for Gaussians; where both are the same it is 0."""
    q, p = gaussians()
    for other in (p, q):
        critic = joint(1, 1, critic={"name": "mlp", "hidden": [32], "activation": "silu"}, hidden=64)
        optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
        for step in range(700):
            if step == 500:
                optimizer.param_groups[0]["lr"] = 1e-3
            own, generated = q.sample((512,)), other.sample((512,))
            loss = critic.critic_loss(passed(own[:, :1], generated[:, :1], own[:, 1:], generated[:, 1:])).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        points = torch.cat([q.sample((1000,)), other.sample((1000,))])
        points = points[points.norm(dim=1) < 2]
        exact = q.log_prob(points) - other.log_prob(points)
        error = (critic.judge(points[:, :1], points[:, 1:], None).detach() - exact).abs()
        assert float(error.mean()) < 0.12


@pytest.mark.slow
def test_ali_learns_a_gaussian_and_inverts_it(tmp_path: Path) -> None:
    """Data N(2, ½²): the decoder generates them, and the encoder's latents of data are those of the prior."""
    np.save(tmp_path / "x.npy", (np.random.default_rng(0).normal(size=(2000, 1)) * 0.5 + 2).astype(np.float32))
    rate = {"name": "adam", "lr": 2e-3, "betas": [0.5, 0.99]}
    config = {
        "data": {"name": "arrays", "path": str(tmp_path / "x.npy"), "validation": 0, "test": 0},
        "encoder": {"name": "mlp", "hidden": []},
        "sampler": {"name": "gaussian", "latent": 1},
        "decoder": {"name": "mlp", "hidden": []},
        "likelihood": {"name": "gaussian", "scale": 1.0},
        "loss": {
            "name": "joint_adversarial",
            "critic": {"name": "mlp", "hidden": [16]},
            "hidden": 32,
            "form": "relativistic",
            "r1": 0.1,
            "r2": 0.1,
            "optimizer": rate,
        },
        "training": {"epochs": 60, "batch_size": 100, "ema": 0.99, "optimizer": rate},
    }
    model = run(config, out=tmp_path / "run").model
    with torch.no_grad():
        drawn, x = model.sample(4000), torch.from_numpy(np.load(tmp_path / "x.npy"))
        z = model(x).latent.z[0]
    assert (float(drawn.mean()), float(drawn.std())) == pytest.approx((2, 0.5), abs=0.15)
    assert abs(float(z.mean())) < 0.3
    assert 0.4 < float(z.std()) < 1.3
    correlation = torch.corrcoef(torch.stack([x[:, 0], model.reconstruct(x)[:, 0]]))[0, 1]
    assert float(correlation) > 0.9
