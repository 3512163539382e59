"""Scores of single data against the figures of the whole, and against closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from genkit.data.dataset import Dataset
from genkit.data.transforming import Chain
from genkit.errors import ComponentError, DataError, TrainingError
from genkit.evaluation.estimates import estimate
from genkit.evaluation.figures import evaluate
from genkit.evaluation.scoring import score
from genkit.interfaces import Column, Schema, Side, Split
from genkit.interfaces.columns import laid_out
from genkit.runs.opening import as_config
from genkit.speed.footprint import watching
from tests.models import LINEAR, PARTS, built

NOISE = 0.5
W = torch.tensor([[0.5, 0.2], [0.4, -0.3], [-0.3, 0.5], [0.2, 0.6], [0.1, -0.4]])  # (5 values, 2 latents)
B = torch.tensor([0.3, -1.0, 0.0, 2.0, 0.5])


def set_to(layer, weight, bias):
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def linear():
    """p(x|z) = N(Wz + b, s² I), with the prior in place of the posterior."""
    with torch.random.fork_rng():
        model = built((5,), **LINEAR, likelihood={"name": "gaussian", "scale": NOISE})
    set_to(model.decoder.layers[1], W, B)
    for head in (model.sampler.mean, model.sampler.log_var):
        set_to(head, torch.zeros(2, 5), torch.zeros(2))
    return model


def numbers(count, *shape):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))


def dataset(x, **more):
    return Dataset(Split(x[:3], None), None, Split(x, None), None, False, **more)


@pytest.mark.parametrize("draws", [1, 7, 300])
def test_the_means_of_scores_are_the_figures_of_evaluate(draws):
    torch.manual_seed(0)
    model = built((5,))
    data = dataset(numbers(50, 5))
    scores, figures = score(model, data, draws=draws, seed=3), evaluate(model, data, draws=draws, seed=3)
    means = {name: float(values.mean()) for name, values in scores.values.items()}
    assert means["negative_elbo"] == pytest.approx(-figures.elbo, rel=1e-12)
    assert means["reconstruction"] == pytest.approx(figures.reconstruction, rel=1e-12)
    assert means["kl"] == pytest.approx(figures.kl, rel=1e-12)
    assert scores.by == "negative_elbo"


def test_scores_are_in_the_units_of_the_data():
    torch.manual_seed(0)
    steps = as_config({**PARTS, "data": {"name": "digits", "transform": "standardize"}}).data.transform
    model, x = built((5,)), 100 * numbers(40, 5)
    standardized = (x - x.mean(0)) / x.std(0, correction=0)
    alone = score(model, dataset(standardized), draws=2)
    model.transforms = Chain.of(steps, (5,))
    model.transforms.fit(x)
    scores = score(model, dataset(x), draws=2)
    by = x.std(0, correction=0).log().sum()
    for name in ("negative_elbo", "reconstruction", "bound"):
        torch.testing.assert_close(scores.values[name], alone.values[name] + by, rtol=1e-4, atol=1e-4)
    for name in ("kl", "squared_error"):
        torch.testing.assert_close(scores.values[name], alone.values[name], rtol=1e-4, atol=1e-4)


def test_the_bound_of_each_datum_comes_down_to_its_likelihood():
    model = linear()
    z, noise = numbers(30, 2), numbers(30, 5)
    x = z @ W.T + B + NOISE * noise
    covariance = W.double() @ W.T.double() + NOISE**2 * torch.eye(5, dtype=torch.float64)
    exact = -multivariate_normal(B.numpy(), covariance.numpy()).logpdf(x.numpy())
    bounds = np.stack([score(model, dataset(x), draws=2000, seed=seed).values["bound"].numpy() for seed in range(4)])
    spread = bounds.std(0, ddof=1)
    assert (np.abs(bounds.mean(0) - exact) < 0.02 + 4 * spread).all()
    assert np.abs(bounds.mean(0) - exact).mean() < 0.05
    assert score(model, dataset(x), draws=1).values["bound"].numpy().mean() > exact.mean() + 0.3


def test_a_model_without_a_density_of_z_is_scored_by_its_reconstruction():
    torch.manual_seed(0)
    model = built((5,), sampler={"name": "point", "latent": 2}, loss="reconstruction")
    x = numbers(20, 5)
    scores = score(model, dataset(x))
    assert scores.values.keys() == {"reconstruction", "squared_error"}
    assert scores.by == "reconstruction"
    squares = (x - model.reconstruct(x)).square().sum(1).double()
    torch.testing.assert_close(scores.values["squared_error"], squares, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(scores.score, squares / 2 + 2.5 * math.log(2 * math.pi), rtol=1e-5, atol=1e-6)


COLUMNS = laid_out(
    [
        Column(name="age", kind="numeric", mark=0),
        Column(name="port", kind="categorical", categories=("a", "b", "c")),
        Column(name="line", kind="constant", categories=("x",)),
        Column(name="alone", kind="boolean", categories=("no", "yes")),
    ]
)


def test_errors_of_a_table_are_by_its_columns_and_missing_values_have_none():
    torch.manual_seed(0)
    model = built(Schema((6,), columns=COLUMNS), likelihood="mixed")
    x = torch.tensor([[1.5, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 1]])  # age, port (3), alone, mark of age
    scores = score(model, Dataset(Split(x, None), None, Split(x, None), None, False, columns=COLUMNS))
    squares = (x - model.reconstruct(x)).square()
    expected = {
        "error_age": torch.stack([squares[0, 0] + squares[0, 5], squares[1, 5]]),
        "error_port": squares[:, 1:4].sum(1),
        "error_alone": squares[:, 4],
    }
    assert scores.errors.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(scores.errors[name], values)
    whole = sum(values.double() for values in expected.values())
    torch.testing.assert_close(scores.values["squared_error"], whole, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("shape", "parts", "axes"), [((5,), (5,), ()), ((4, 3), (3,), (1,)), ((2, 4, 3), (2, 4, 3), ())]
)
def test_errors_are_by_places_features_or_values(shape, parts, axes):
    torch.manual_seed(0)
    model, x = built(shape), numbers(9, *shape)
    errors = score(model, dataset(x)).errors["error"]
    squares = (x - model.reconstruct(x)).square()
    assert errors.shape == (9, *parts)
    torch.testing.assert_close(errors, squares.sum(axes) if axes else squares)
    assert score(model, dataset(x), parts=False).errors == {}


def test_errors_of_series_are_by_channels_and_steps_that_are_not_there_have_none():
    torch.manual_seed(0)
    mask = torch.ones(9, 4)
    mask[3:, 2:] = 0
    sides = {"mask": Side((4,))}
    model = built(Schema((4, 2), sides, channels=("left", "right")))
    x = numbers(9, 4, 2)
    split = Split(x, None, {"mask": mask})
    data = Dataset(split, None, split, None, False, side=sides, channels=("left", "right"))
    scores = score(model, data, draws=3)
    squares = (x - model.reconstruct(split)).nan_to_num().square()
    torch.testing.assert_close(
        scores.errors, {"error_left": squares[:, :, 0].sum(1), "error_right": squares[..., 1].sum(1)}
    )
    other = Split(torch.where(mask.unsqueeze(2) > 0, x, 1e3), None, {"mask": mask})
    for name, values in score(model, data._replace(test=other), draws=3).values.items():
        torch.testing.assert_close(values, scores.values[name])
    assert float(scores.values["negative_elbo"].mean()) == pytest.approx(-evaluate(model, data, draws=3).elbo, rel=1e-9)


def test_memory_does_not_grow_with_the_number_of_draws():
    model, x = linear(), numbers(100, 5)
    peaks = []
    for draws in (1024, 2048, 4096):
        with watching("nothing is counted") as footprint:
            score(model, dataset(x[:3]), draws=draws)
        peaks.append(footprint.peak)
    assert peaks == pytest.approx([peaks[0]] * 3, rel=0.02)


def test_chunks_of_draws_are_one_estimate():
    torch.manual_seed(0)
    model, x = built((5,)), numbers(8, 5)

    def passes(seed):
        torch.manual_seed(seed)
        return lambda count: model(x, count)

    with torch.no_grad():
        forwards = [passes(0)(7) if part == 0 else model(x, 3) for part in range(2)]
        estimates = estimate(passes(0), 10, chunk=7)
    log_prob = torch.cat([forward.log_prob for forward in forwards]).double()
    ratio = torch.cat([forward.latent.log_ratio for forward in forwards]).double()
    torch.testing.assert_close(estimates.reconstruction, -log_prob.mean(0))
    torch.testing.assert_close(estimates.bound, math.log(10) - (log_prob - ratio).logsumexp(0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(estimates.negative_elbo, estimates.reconstruction + estimates.kl)


def test_what_cannot_be_scored_is_refused():
    torch.manual_seed(0)
    model, x = built((5,)), numbers(9, 5)
    with pytest.raises(DataError, match="at least one draw per datum, not 0"):
        score(model, dataset(x), draws=0)
    with pytest.raises(DataError, match=r"the model takes data of shape \(N, 5\), not \(9, 4\)"):
        score(model, dataset(x[:, :4]))
    with torch.no_grad():
        next(reversed([*model.decoder.parameters()])).fill_(float("inf"))
    with pytest.raises(TrainingError, match="negative_elbo of 9 data of the test split is not finite"):
        score(model, dataset(x))
    generator = built((5,), encoder=None, loss={"name": "adversarial", "critic": {"name": "mlp", "hidden": [4]}})
    with pytest.raises(ComponentError, match="the model has no encoder: it generates, and has no posterior"):
        score(generator, dataset(x))
