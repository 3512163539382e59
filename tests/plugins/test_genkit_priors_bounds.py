"""The importance-weighted bound of a model with a mixture as its prior, against its exact log-likelihood.

N data, D values, L latents, C components. A linear decoder with Gaussian noise makes each component a Gaussian of the
data, so that p(x) = Σ_c w_c N(x; W m_c + b, W S_c Wᵀ + s² I).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from genkit.data.dataset import Dataset
from genkit.data.loading import load
from genkit.evaluation.metrics import measure
from genkit.interfaces import Split
from genkit.model.building import build
from genkit.model.model import Model
from genkit.runs.opening import as_config
from genkit.training.epochs import fit
from genkit.training.seeds import own_random_state, seed_everything
from genkit.training.trainer import Trainer
from genkit_metrics import NLL
from tests.models import LINEAR, PARTS, built

pytestmark = pytest.mark.slow

Array = np.ndarray[Any, Any]
DRAWS = (1, 10, 100, 1000)


def values_of(tensor: torch.Tensor) -> Array:
    array: Array = tensor.detach().double().numpy()
    return array


def components(model: Model) -> tuple[Array, Array, Array]:
    """The weights (C,) of the prior, its means (C, L) and its variances (C, L)."""
    prior = model.prior
    return tuple(map(values_of, (prior.logits.softmax(0), prior.means, (2 * prior.log_scales).exp())))  # type: ignore


def log_likelihood(model: Model, x: torch.Tensor) -> Array:
    """The exact log p(x), (N,), of data x (N, *shape)."""
    decoder = model.decoder.layers[1]
    w, b = values_of(decoder.weight), values_of(decoder.bias)
    noise = np.exp(values_of(2 * model.likelihood.log_scale)) * np.eye(len(w))
    logs = [
        np.log(weight) + multivariate_normal(w @ mean + b, (w * variance) @ w.T + noise).logpdf(values_of(x.flatten(1)))
        for weight, mean, variance in zip(*components(model), strict=True)
    ]
    exact: Array = logsumexp(logs, 0)
    return exact


def bounds(model: Model, x: torch.Tensor, draws: int, seeds: int = 4) -> tuple[float, float]:
    """The bound on log p(x), a mean over data and seeds, and the error that its draws leave in it."""
    data = Dataset(Split(x[:3], None), None, Split(x, None), None, False)
    each = np.array([-measure(model, data, NLL.Config(draws=draws), seed=seed)["bound"] for seed in range(seeds)])
    return float(each.mean()), float(each.std(ddof=1)) / math.sqrt(seeds)


def check_rise(model: Model, x: torch.Tensor) -> list[float]:
    """The bounds rise with the number of draws, never pass the exact value, and meet it with the most draws."""
    exact = float(log_likelihood(model, x).mean())
    means, errors = zip(*(bounds(model, x, draws) for draws in DRAWS), strict=True)
    for low, high, before, after in zip(means, means[1:], errors, errors[1:], strict=False):
        assert high > low - 3 * math.hypot(before, after)
    assert means[1] > means[0] + 3 * math.hypot(errors[0], errors[1])
    assert all(mean < exact + 4 * error for mean, error in zip(means, errors, strict=True))
    assert means[-1] == pytest.approx(exact, abs=max(4 * errors[-1], 2e-3))
    assert errors[-1] < 5e-3
    return [*means, exact]


@pytest.fixture
def model() -> Model:
    """Three components apart from each other, and the best posterior whose mean is affine in x, its variance fixed."""
    prior = {"name": "mixture", "components": 3}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = built((5,), **LINEAR, prior=prior, likelihood={"name": "gaussian", "scale": "learned"})
    with torch.no_grad():
        model.likelihood.log_scale.fill_(math.log(0.7))
        model.prior.logits.copy_(torch.tensor([0.5, 0.3, 0.2]).log())
        model.prior.means.copy_(torch.tensor([[1.5, 0.0], [-1.0, 1.0], [0.0, -2.0]]))
        model.prior.log_scales.copy_(torch.tensor([[0.3, 0.6], [0.5, 0.2], [0.4, 0.4]]).log())
    weights, means, variances = components(model)
    w, b = (values_of(each) for each in (model.decoder.layers[1].weight, model.decoder.layers[1].bias))
    centre = weights @ means
    spread = np.diag(weights @ variances) + (means - centre).T @ (weights[:, None] * (means - centre))
    gain = spread @ w.T @ np.linalg.inv(w @ spread @ w.T + 0.49 * np.eye(5))
    left = (spread - gain @ w @ spread).diagonal()
    with torch.no_grad():
        model.sampler.mean.weight.copy_(torch.tensor(gain))
        model.sampler.mean.bias.copy_(torch.tensor(centre - gain @ (w @ centre + b)))
        model.sampler.log_var.weight.zero_()
        model.sampler.log_var.bias.copy_(torch.tensor(left).log())
    return model


def test_the_bound_rises_with_the_draws_to_the_exact_log_likelihood(model: Model) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        x = model.sample(64, noise=True)
    one, *_, exact = check_rise(model, x)
    assert one < exact - 0.1


def test_a_trained_model_has_a_bound_that_rises_to_its_exact_log_likelihood() -> None:
    """Digits, 5 latents, 10 components, all of them learned."""
    training = {"epochs": 60, "batch_size": 200, "compile": False, "optimizer": {"name": "adam", "lr": 0.01}}
    own = {
        "data": {"name": "digits", "validation": 0, "test": 0.1},
        "sampler": {"name": "gaussian", "latent": 5},
        "prior": {"name": "mixture", "components": 10},
        "likelihood": {"name": "gaussian", "scale": "learned"},
    }
    config = as_config({**PARTS, **LINEAR, **own, "training": training})
    data = load(config.data)
    with own_random_state():
        seed_everything(0, 0)
        model = build(config, data.schema)
        list(fit(Trainer(model, config.training), data, 0))
    assert data.test is not None
    check_rise(model, data.test.x)
