"""Data far from 0 and 1 go through a transform once, whatever is done with them, and come back in their own units.

N data, D = 5 columns. A linear model with orthogonal columns has an exact Gaussian posterior that factorizes, so that
everything has a closed form (probabilistic PCA, Tipping & Bishop 1999).
"""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from genkit.evaluation.figures import evaluate
from genkit.evaluation.metrics import measure
from genkit.pictures import plots
from genkit.pictures.mosaic import mosaic
from genkit.runs.opening import as_config, prepare
from genkit.runs.reproduction import reproduce
from genkit.runs.running import resume, run
from genkit.training.fitting import fit_prior
from genkit.training.trainer import Trainer
from genkit_metrics import NLL, Probe
from tests.models import LINEAR, PARTS

NOISE = 0.4
W = np.array([[1.0, 0.5], [1.0, -0.5], [-0.8, 1.0], [0.8, 1.0], [0.0, 0.0]])
BIAS = np.array([0.3, -0.2, 0.1, 0.4, -0.5])
PRECISION = (W.T @ W).diagonal() + NOISE**2
BACK = W.T / PRECISION[:, None]
COVARIANCE = W @ W.T + NOISE**2 * np.eye(5)
MEAN, DEVIATION = 1000.0, 50.0


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A file of data with mean 1000 and standard deviation 50 in each column, exactly, and a label for each."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5)) @ np.linalg.cholesky(COVARIANCE).T
    x = (x - x.mean(0)) / x.std(0)
    path = tmp_path_factory.mktemp("table") / "x.npz"
    np.savez(path, x=(MEAN + DEVIATION * x).astype(np.float32), labels=(x[:, 0] > 0).astype(np.int64))
    return path


def config_of(path, transform="standardize", **changes):
    values = {
        "data": {"name": "arrays", "path": str(path), "transform": transform, "validation": 0.2, "test": 0.2},
        "likelihood": {"name": "gaussian", "scale": NOISE},
        "training": {"epochs": 2, "batch_size": 64},
    }
    return as_config({**PARTS, **LINEAR, **values, **changes})


def set_to(layer, weight, bias):
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight))
        layer.bias.copy_(torch.as_tensor(bias))


def linear(config, scale=1.0, shift=0.0):
    """The data, and the model with its exact posterior, for inputs that are (x - shift) / scale of its own units."""
    data, model = prepare(config)
    set_to(model.decoder.layers[1], scale * W, scale * BIAS + shift)
    set_to(model.sampler.mean, BACK / scale, -BACK @ (BIAS + shift / scale))
    set_to(model.sampler.log_var, np.zeros((2, 5)), np.log(NOISE**2 / PRECISION))
    return data, model


@pytest.fixture(scope="module")
def exact(table):
    return linear(config_of(table))


def units(data):
    """The mean and the deviation (D,) of the training data, and the test data (N, D) in the model's units."""
    x = data.train.x.double().numpy()
    mean, deviation = x.mean(0), x.std(0)
    return mean, deviation, (data.test.x.double().numpy() - mean) / deviation


def densities(data):
    """log p(x) of the test data, (N,) each, in the model's units and in the data's own."""
    mean, deviation, y = units(data)
    own = multivariate_normal(mean + deviation * BIAS, deviation[:, None] * COVARIANCE * deviation)
    return multivariate_normal(BIAS, COVARIANCE).logpdf(y), own.logpdf(data.test.x.double().numpy())


def test_elbo_and_bound_are_the_density_of_the_data_in_their_own_units(exact):
    data, model = exact
    inner, own = (log_prob.mean() for log_prob in densities(data))
    figures = evaluate(model, data, draws=2000)
    assert figures.elbo == pytest.approx(own, abs=0.02)  # the KL is exact, and the reconstruction a mean over draws
    assert figures.log_det == pytest.approx(own - inner, abs=1e-3)
    for draws in (1, 7):
        assert measure(model, data, NLL.Config(draws=draws))["bound"] == pytest.approx(-own, abs=1e-3)


def test_the_scores_of_training_are_in_the_models_units(exact):
    data, model = exact
    trainer = Trainer(model, model.config.training)
    scores = trainer.evaluate(data, data.test, trainer.weights_at(0))
    codes, variance = (units(data)[2] - BIAS) @ BACK.T, NOISE**2 / PRECISION
    kl = (np.square(codes) + variance - 1 - np.log(variance)).sum(1) / 2
    assert scores.kl == pytest.approx(kl.mean(), abs=1e-4)
    assert scores.elbo == pytest.approx(densities(data)[0].mean(), abs=0.6)  # one draw for each of 120 data


def test_the_same_model_of_untransformed_data_has_the_same_elbo_and_samples(table, tmp_path):
    """All columns have one deviation in all data together, which the training data then share."""
    whole = {"validation": 0, "test": 0}
    path = {"name": "arrays", "path": str(table), **whole}
    data, model = linear(config_of(table, data={**path, "transform": "standardize"}))
    likelihood = {"name": "gaussian", "scale": NOISE * DEVIATION}
    with pytest.warns(UserWarning, match="the data are unscaled"):
        same, raw = linear(config_of(table, data=path, likelihood=likelihood), DEVIATION, MEAN)
    one, other = evaluate(model, data, "train", draws=5), evaluate(raw, same, "train", draws=5)
    assert one.elbo == pytest.approx(other.elbo, abs=1e-2)
    assert one.reconstruction == pytest.approx(other.reconstruction, abs=1e-2)
    assert one.kl == pytest.approx(other.kl, abs=1e-3)
    assert one.unexplained == pytest.approx(other.unexplained, rel=1e-3)
    torch.manual_seed(0)
    drawn = model.sample(9, noise=True)
    torch.manual_seed(0)
    torch.testing.assert_close(drawn, raw.sample(9, noise=True), atol=1e-2, rtol=0)


def test_codes_reconstructions_and_samples_have_their_closed_forms(exact):
    data, model = exact
    mean, deviation, y = units(data)
    codes = (y - BIAS) @ BACK.T
    torch.testing.assert_close(model.encode(data.test), torch.tensor(codes).float(), atol=1e-4, rtol=0)
    decoded = torch.tensor(mean + deviation * (codes @ W.T + BIAS)).float()
    torch.testing.assert_close(model.reconstruct(data.test), decoded, atol=1e-2, rtol=0)
    torch.testing.assert_close(model.decode(model.encode(data.test)), decoded, atol=1e-2, rtol=0)
    path = model.interpolate(data.test.x[0], data.test.x[1])
    torch.testing.assert_close(path[[0, -1]], decoded[:2], atol=1e-2, rtol=0)
    errors = np.square(data.test.x.double().numpy() - decoded.numpy()).sum()
    spread = np.square(data.test.x.double().numpy() - data.test.x.double().numpy().mean(0)).sum()
    assert evaluate(model, data).unexplained == pytest.approx(errors / spread, rel=1e-3)
    torch.manual_seed(0)
    drawn = model.sample(40_000, noise=True).double().numpy()
    np.testing.assert_allclose(drawn.mean(0), mean + deviation * BIAS, atol=1.5)
    own = deviation[:, None] * COVARIANCE * deviation
    np.testing.assert_allclose(np.cov(drawn.T), own, atol=0.02 * own.max())


def test_a_prior_is_fitted_to_the_codes_of_the_data(table):
    """A mixture of one Gaussian has the moments of what it is fitted to: codes, and with a posterior draws from it."""
    autoencoder = {"sampler": {"name": "point", "latent": 2}, "loss": "reconstruction"}
    gmm = {"name": "gmm", "components": 1}
    data, model = prepare(config_of(table, prior=gmm, **autoencoder))
    fit_prior(model, data, seed=0, epoch=1)
    codes = model.encode(data.train)
    torch.testing.assert_close(model.prior.means[0], codes.mean(0), atol=1e-4, rtol=1e-4)
    precision = model.prior.roots[0] @ model.prior.roots[0].T
    torch.testing.assert_close(precision.inverse(), torch.cov(codes.T, correction=0), atol=1e-4, rtol=1e-3)


def test_a_prior_is_fitted_to_draws_from_the_posterior_of_the_data(table):
    data, model = linear(config_of(table, prior={"name": "gmm", "components": 1}))
    fit_prior(model, data, seed=0, epoch=1)
    codes, count = model.encode(data.train), len(data.train.x)
    error = 4 * NOISE / PRECISION.min() ** 0.5 / count**0.5
    torch.testing.assert_close(model.prior.means[0], codes.mean(0), atol=error, rtol=0)
    expected = torch.cov(codes.T, correction=0) + torch.tensor(NOISE**2 / PRECISION).diag().float()
    precision = model.prior.roots[0] @ model.prior.roots[0].T
    torch.testing.assert_close(precision.inverse(), expected, atol=0.1, rtol=0)


def test_probes_read_the_codes_of_the_data(table):
    """The codes of data that are transformed twice, or not at all, are saturated, and tell no label."""
    point = {"sampler": {"name": "point", "latent": 2, "activation": "tanh"}, "loss": "reconstruction"}
    data, model = prepare(config_of(table, **point))
    set_to(model.sampler.code, BACK, np.zeros(2))
    assert measure(model, data, Probe.Config())["knn"] > 0.9
    assert float(model.encode(data.test).abs().max()) < 1


def test_pictures_show_the_units_of_the_data(tmp_path):
    """Images of 1000 ± 50: where a model gives the training mean, its samples are as grey as that mean is."""
    x = MEAN + DEVIATION * np.random.default_rng(0).normal(size=(60, 1, 8, 8))
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    data, model = prepare(config_of(tmp_path / "x.npy"))
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
    mean = data.train.x.mean().expand(64, 1, 8, 8)
    limits = (float(data.train.x.min()), float(data.train.x.max()))
    grey = mosaic(mean, 8, limits).astype(int)
    assert np.abs(plots.samples(model).astype(int) - grey).max() <= 1
    rows = torch.cat([data.test.x[:12], mean[:12]])
    assert np.abs(plots.reconstructions(model, data.test, 12).astype(int) - mosaic(rows, 12, limits)).max() <= 1
    assert 100 < grey[5, 5, 0] < 155


@pytest.mark.slow
def test_a_run_with_a_fitted_prior_is_reproduced_and_resumed_bit_for_bit(table, tmp_path, bare):
    config = config_of(table, prior={"name": "gmm", "components": 2}, metrics=["nll", "probe"])
    whole = run(config, out=tmp_path / "whole")
    codes = whole.model.encode(whole.data.train)
    fitted = whole.model.prior.log_weights.exp() @ whole.model.prior.means
    torch.testing.assert_close(fitted, codes.mean(0), atol=0.2, rtol=0)
    assert reproduce(tmp_path / "whole").different == []
    run(config, out=tmp_path / "parts", until=(1, 2))
    again = resume(tmp_path / "parts").model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in whole.model.state_dict().items())
