"""The importance-weighted bound against probabilistic PCA, whose likelihood is known (Tipping & Bishop 1999)."""

import math

import pytest
import torch
from scipy.stats import multivariate_normal

from genkit.data.dataset import Dataset
from genkit.errors import MetricError
from genkit.evaluation.figures import evaluate
from genkit.evaluation.metrics import measure
from genkit.interfaces import Split
from genkit.speed.footprint import watching
from genkit_metrics import NLL
from tests.models import LINEAR, built

NOISE = 0.5
W = torch.tensor([[0.5, 0.2], [0.4, -0.3], [-0.3, 0.5], [0.2, 0.6], [0.1, -0.4]])  # (5 values, 2 latents)
B = torch.tensor([0.3, -1.0, 0.0, 2.0, 0.5])


def set_to(layer, weight, bias):
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


@pytest.fixture
def model():
    """p(x|z) = N(Wz + b, s² I), with the prior in place of the posterior: importance sampling from p(z)."""
    with torch.random.fork_rng():
        model = built((5,), **LINEAR, likelihood={"name": "gaussian", "scale": NOISE})
    set_to(model.decoder.layers[1], W, B)
    for head in (model.sampler.mean, model.sampler.log_var):
        set_to(head, torch.zeros(2, 5), torch.zeros(2))
    return model


def drawn(count):
    """Data from the model, and the log-likelihood of each by scipy."""
    generator = torch.Generator().manual_seed(count)
    z, noise = torch.randn(count, 2, generator=generator), torch.randn(count, 5, generator=generator)
    x = z @ W.T + B + NOISE * noise
    covariance = W.double() @ W.T.double() + NOISE**2 * torch.eye(5, dtype=torch.float64)
    return x, multivariate_normal(B.numpy(), covariance.numpy()).logpdf(x.numpy())


def dataset(x):
    return Dataset(Split(x[:3], None), None, Split(x, None), None, False)


def nll(model, x, draws, seed=0):
    return measure(model, dataset(x), NLL.Config(draws=draws), seed=seed)


def test_with_many_draws_it_is_the_negative_log_likelihood(model):
    x, exact = drawn(300)
    # the error of the draws alone, as the data are the same on both sides
    runs = [nll(model, x, 2000, seed)["bound"] for seed in range(3)]
    spread = torch.tensor(runs).std().item()
    assert runs[0] == pytest.approx(-exact.mean(), abs=max(4 * spread, 5e-3))
    assert min(runs) > -exact.mean() - 0.01
    assert spread < 0.02


def test_its_standard_error_is_that_of_the_mean_over_the_data(model):
    x, exact = drawn(300)
    assert nll(model, x, 2000)["standard_error"] == pytest.approx(exact.std(ddof=1) / math.sqrt(300), rel=0.02)


def test_one_draw_gives_the_elbo_and_more_draws_a_tighter_bound(model):
    x, exact = drawn(200)
    one = [nll(model, x, 1, seed)["bound"] for seed in range(20)]
    error = torch.tensor(one).std().item() / math.sqrt(len(one))
    elbo = evaluate(model, dataset(x), draws=2000).elbo
    assert sum(one) / len(one) == pytest.approx(-elbo, abs=4 * error)
    bounds = [nll(model, x, draws)["bound"] for draws in (1, 10, 100, 1000)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > bounds[1] + 1 > -exact.mean() + 1


def test_the_exact_posterior_needs_one_draw(model):
    orthogonal = torch.tensor([[1.0, 0.5], [1.0, -0.5], [-0.8, 1.0], [0.8, 1.0], [0.0, 0.0]])
    m = orthogonal.T @ orthogonal + NOISE**2 * torch.eye(2)
    assert m[0, 1] == 0  # else the posterior would not factorize
    back = m.inverse() @ orthogonal.T
    set_to(model.decoder.layers[1], orthogonal, B)
    set_to(model.sampler.mean, back, -back @ B)
    set_to(model.sampler.log_var, torch.zeros(2, 5), (NOISE**2 / m.diagonal()).log())
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    covariance = orthogonal @ orthogonal.T + NOISE**2 * torch.eye(5)
    exact = -multivariate_normal(B.numpy(), covariance.double().numpy()).logpdf(x.numpy()).mean()
    for draws in (1, 3, 40):
        assert nll(model, x, draws)["bound"] == pytest.approx(exact, abs=1e-4)


def test_chunks_of_draws_are_one_mean_of_weights(model):
    """A chunk of 16 draws and one of 7, whose weights are known."""
    metric = NLL(NLL.Config(draws=23))
    log_weights = torch.linspace(-900, -800, 23 * 4).view(23, 4)
    left = [log_weights]

    def passed(count):
        taken, left[0] = left[0][:count], left[0][count:]
        latent = type("Latent", (), {"log_ratio": -taken, "divergence": None})
        likelihood = type("Likelihood", (), {"is_density": True})
        return type("Forward", (), {"latent": latent, "log_prob": torch.zeros_like(taken), "likelihood": likelihood})

    expected = -(log_weights.double().logsumexp(0) - math.log(23))
    torch.testing.assert_close(metric._bounds(passed, 16), expected)
    assert len(left[0]) == 0


def test_its_memory_does_not_grow_with_the_number_of_draws(model):
    x, _ = drawn(100)
    peaks = []
    for draws in (32, 320, 1600):
        with watching("nothing is counted") as footprint:
            nll(model, x, draws)
        peaks.append(footprint.peak)
    assert peaks == pytest.approx([peaks[0]] * 3, rel=0.01)
    assert peaks[0] > 1000 * 5 * 4  # it is the decoder's output that counts


def test_one_datum_has_no_standard_error(model):
    x, _ = drawn(1)
    assert nll(model, x, 5).keys() == {"bound"}


def test_a_sampler_without_a_density_is_refused_by_name():
    with torch.random.fork_rng():
        point = built((5,), **LINEAR, sampler={"name": "point", "latent": 2}, loss="reconstruction")
    with pytest.raises(MetricError, match=r"metric 'nll' needs a density of q\(z\|x\), and sampler 'point' has none"):
        nll(point, torch.randn(4, 5), 5)
