"""Regularized autoencoders: norms of latents and decoder, and a critic of latents, against closed forms."""

import math

import pytest
import torch

from genkit.errors import ComponentError
from genkit.interfaces import Forward, Latent, Schema, Side
from genkit.model.building import build
from genkit.runs.opening import as_config
from genkit.settings.optimizers import Adam
from genkit_regularized import CodeNorm, LatentCritic

SHAPE = (1, 3, 3)


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(29)
        yield


def _model(*terms, **changes):
    parts = {
        "data": "digits",
        "encoder": {"name": "mlp", "hidden": []},
        "sampler": {"name": "point", "latent": 4},
        "decoder": {"name": "mlp", "hidden": []},
        "likelihood": "gaussian",
        "loss": ["reconstruction", *terms],
        **changes,
    }
    return build(as_config(parts), SHAPE)


def _passed(z):
    """A pass of which only the draws (K, B, D) matter."""
    empty = torch.empty(0)
    return Forward(empty, Latent(z, z.mean(0), None, None), empty, empty, None, None)


def test_the_norm_of_latents_is_the_mean_over_draws():
    z = torch.randn(3, 5, 2)
    term = CodeNorm(CodeNorm.Config(), SHAPE)
    torch.testing.assert_close(term(_passed(z)), (z**2).sum(2).mean(0) / 2)


def test_the_norm_of_the_decoder_is_that_of_all_its_parameters_and_of_no_other():
    model = _model({"name": "decoder_norm", "weight": 0.5})
    term, forward = model.losses["decoder_norm"], model(torch.rand(6, *SHAPE))
    wanted = sum(float((parameter.detach().double() ** 2).sum()) for parameter in model.decoder.parameters())
    assert float(term(forward).detach()) == pytest.approx(wanted, rel=1e-5)
    slopes = torch.autograd.grad(term(forward), list(model.parameters()), allow_unused=True)
    reached = {name for (name, _), slope in zip(model.named_parameters(), slopes, strict=True) if slope is not None}
    assert reached == {name for name, _ in model.named_parameters() if name.startswith("decoder.")}


def test_the_slope_of_a_linear_decoder_is_the_norm_of_its_matrix():
    model = _model("decoder_slope")
    (weight,) = (each for name, each in model.decoder.named_parameters() if name.endswith("weight"))
    values = model.losses["decoder_slope"](model(torch.rand(20_000, *SHAPE))).detach().double()
    error = float(values.std()) / math.sqrt(len(values))
    assert abs(float(values.mean()) - float((weight.detach().double() ** 2).sum())) < 4 * error


def test_the_slope_of_a_bent_decoder_is_that_of_its_jacobian():
    model = _model("decoder_slope", decoder={"name": "mlp", "hidden": [7], "activation": "tanh"})
    x = torch.rand(1, *SHAPE)
    z = model(x).latent.z[0, 0].detach()
    jacobian = torch.autograd.functional.jacobian(lambda each: model.decoder(each.unsqueeze(0)).flatten(), z)
    values = model.losses["decoder_slope"](model(x.expand(20_000, *SHAPE))).detach().double()
    error = float(values.std()) / math.sqrt(len(values))
    assert abs(float(values.mean()) - float((jacobian.double() ** 2).sum())) < 4 * error


def test_the_slope_is_there_without_gradients():
    model = _model("decoder_slope")
    with torch.no_grad():
        assert model.losses["decoder_slope"](model(torch.rand(6, *SHAPE))).isfinite().all()


def test_the_slope_reads_a_condition():
    parts = {
        "data": "digits",
        "condition": "labels",
        "encoder": {"name": "mlp", "hidden": []},
        "sampler": {"name": "gaussian", "latent": 4},
        "decoder": {"name": "mlp", "hidden": []},
        "likelihood": "gaussian",
        "loss": ["reconstruction", "decoder_slope"],
    }
    model = build(as_config(parts), Schema(SHAPE, {"labels": Side(classes=10)}))
    labels = {"labels": torch.arange(6)}
    assert model.losses["decoder_slope"](model(torch.rand(6, *SHAPE), side=labels)).shape == (6,)


def test_the_critic_learns_the_log_ratio_of_two_gaussians():
    config = {"name": "latent_critic", "critic": {"name": "mlp", "hidden": [32]}}
    model = _model(config, sampler={"name": "gaussian", "latent": 1})
    term, mean = model.losses["latent_critic"], 1.5
    assert isinstance(term, LatentCritic)
    optimizer = torch.optim.Adam(term.parameters(), lr=5e-3)
    for _ in range(500):
        optimizer.zero_grad()
        term.critic_loss(_passed(mean + torch.randn(1, 512, 1))).mean().backward()
        optimizer.step()
    z = torch.linspace(-0.5, 2, 6).unsqueeze(1)
    with torch.no_grad():
        torch.testing.assert_close(term.judge(z), mean**2 / 2 - mean * z.squeeze(1), atol=0.25, rtol=0)


def test_the_critic_needs_a_prior():
    with pytest.raises(ComponentError, match=r"loss 'latent_critic' refuses the model: .* none to draw from"):
        _model({"name": "latent_critic", "critic": {"name": "mlp", "hidden": [8]}})
    with pytest.raises(ComponentError, match="none to draw from"):
        _model({"name": "latent_critic", "critic": {"name": "mlp", "hidden": [8]}}, prior="gmm")


def test_the_optimizer_of_the_critic_is_its_own():
    config = LatentCritic.Config.model_validate({"critic": {"name": "mlp", "hidden": [8]}})
    assert config.optimizer == Adam(lr=1e-3, betas=(0.5, 0.999))
