"""The passes through a model: KL from draws, extra tensors, parts that know the whole model or follow training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genkit.data.loading import load
from genkit.evaluation.figures import evaluate
from genkit.interfaces import Latent
from genkit.model.building import build
from genkit.model.model import Model
from genkit.runs.opening import as_config
from genkit.training.epochs import Loop
from genkit.training.trainer import Trainer
from genkit_mlp import MLPEncoder
from genkit_vae import BernoulliLikelihood, GaussianSampler, Reconstruction
from tests.models import PARTS


def made(**changes: Any) -> Model:
    config = as_config({**PARTS, "likelihood": "bernoulli", **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(config, load(config.data).schema)
    model.data = load(config.data).signature("digits")
    return model


def of_draws(self: Any, features: Tensor, draws: int = 1) -> Latent:
    """A sampler whose KL is known at its draws alone, one for each of two groups of dimensions."""
    latent = GaussianSampler.forward(self, features, draws)
    log_q = -(latent.z - latent.mean).square()
    each = log_q - log_q + latent.log_ratio.unsqueeze(2) / 2
    return latent._replace(kl=each)


def test_a_kl_per_draw_is_averaged_over_the_draws(variant: Any) -> None:
    model = made(sampler={"name": variant(GaussianSampler, forward=of_draws), "latent": 2})
    passed = model(torch.rand(5, 1, 8, 8), 4)
    assert passed.latent.kl.shape == (4, 5, 2)
    torch.testing.assert_close(passed.latent.divergence, passed.latent.kl.mean(0))
    assert model(torch.rand(5, 1, 8, 8), 0).latent.divergence is None
    torch.testing.assert_close(model.losses["kl"](passed), passed.latent.log_ratio.mean(0))


def test_without_a_closed_form_the_kl_is_the_mean_of_the_log_ratio(variant: Any) -> None:
    def forward(self: Any, features: Tensor, draws: int = 1) -> Latent:
        return GaussianSampler.forward(self, features, draws)._replace(kl=None)

    model, exact = made(sampler={"name": variant(GaussianSampler, forward=forward)}), made()
    exact.load_state_dict(model.state_dict())
    data = load(model.config.data)
    estimated, known = (evaluate(each, data, draws=300) for each in (model, exact))
    assert estimated.elbo is not None
    assert estimated.kl == pytest.approx(known.kl, rel=0.02)
    assert len(estimated.kl_per_latent) == 1


def test_a_likelihood_that_is_no_density_gives_no_elbo(variant: Any) -> None:
    model = made(likelihood={"name": variant(BernoulliLikelihood, is_density=False)})
    figures = evaluate(model, load(model.config.data))
    assert (figures.elbo, figures.bits_per_dim) == (None, None)
    assert figures.kl is not None


def test_extra_tensors_reach_the_terms_and_are_detached_for_critics(variant: Any) -> None:
    seen: list[Tensor] = []

    def forward(self: Any, features: Tensor, draws: int = 1) -> Latent:
        return GaussianSampler.forward(self, features, draws)._replace(extra={"features": features})

    def term(self: Any, passed: Any) -> Tensor:
        seen.append(passed.latent.extra["features"])
        return Reconstruction.forward(self, passed)

    names = variant(GaussianSampler, forward=forward), variant(Reconstruction, forward=term)
    model = made(sampler={"name": names[0]}, loss=[names[1], "kl"])
    passed = model(torch.rand(5, 1, 8, 8))
    model.losses[names[1]](passed)
    assert seen[-1].shape == (5, 6)
    assert seen[-1].requires_grad
    assert not passed.detached().latent.extra["features"].requires_grad


def test_a_part_is_attached_to_the_whole_model_before_any_pass(variant: Any) -> None:
    known: dict[str, Any] = {}

    def attach(self: Any, model: Any) -> None:
        known.update(count=model.schema.training_data, classes=model.schema.side["labels"].classes, shape=model.shape)
        self.posterior = model.posterior

    def term(self: Any, passed: Any) -> Tensor:
        assert known
        return self.posterior(passed.x, 1).kl.sum(1)

    name = variant(Reconstruction, attach=attach, forward=term)
    model = made(loss=["reconstruction", name])
    assert known == {"count": 1258, "classes": 10, "shape": (1, 8, 8)}
    assert set(model.state_dict()) == set(made().state_dict())
    x = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(model.losses[name](model(x)), model(x).latent.kl.sum(1))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_part_follows_training_in_a_buffer(variant: Any, compiled: bool) -> None:
    told: list[tuple[int, float]] = []

    def init(self: Any, config: Any, shape: Any) -> None:
        MLPEncoder.__init__(self, config, shape)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self: Any, x: Tensor) -> Tensor:
        return MLPEncoder.forward(self, x) * self.temperature

    def stepped(self: Any, step: int, epoch: float) -> None:
        told.append((step, epoch))
        self.temperature.fill_(0.0)

    name = variant(MLPEncoder, __init__=init, forward=forward, stepped=stepped)
    model = made(encoder={"name": name, "hidden": [6]}, training={"epochs": 2, "batch_size": 629})
    trainer = Trainer(model, model.config.training, compiled)
    records = list(Loop(trainer, load(model.config.data), seed=0).run(1))
    assert told == [(1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0)]
    constant = records[1].train.terms["kl"]  # without features the posterior is the same for all data
    x = load(model.config.data).train.x[:1]
    assert constant == pytest.approx(float(model(x).latent.kl.detach().sum()), rel=0.2)


def test_a_critic_gets_more_updates_than_the_model() -> None:
    config = {
        "data": {"name": "digits"},
        "sampler": {"name": "gaussian", "latent": 2},
        "decoder": {"name": "mlp", "hidden": [6]},
        "likelihood": "bernoulli",
        "loss": {"name": "adversarial", "critic": {"name": "mlp", "hidden": [6]}, "steps": 3},
        "training": {"batch_size": 300, "epochs": 1},
    }
    model = build(as_config(config), (1, 8, 8))
    trainer = Trainer(model, model.config.training)
    changed = []
    for _ in range(7):
        before = {name: value.clone() for name, value in model.named_parameters()}
        trainer.step(torch.rand(30, 1, 8, 8), torch.ones(1))
        moved = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
        changed.append(sorted(moved))
    assert changed == [["losses"], ["losses"], ["decoder", "losses"]] * 2 + [["losses"]]
