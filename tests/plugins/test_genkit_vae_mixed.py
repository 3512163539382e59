"""The likelihood of tables, against torch.distributions, column by column."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Bernoulli, Categorical, Normal

from genkit.errors import ComponentError
from genkit.interfaces import Column
from genkit.interfaces.columns import laid_out
from genkit_vae import GaussianLikelihood, MixedLikelihood

COLUMNS = laid_out(
    [
        Column(name="port", kind="categorical", categories=("C", "Q", "S"), mark=0),
        Column(name="age", kind="numeric", mark=0),
        Column(name="alone", kind="boolean", categories=("no", "yes")),
        Column(name="same", kind="constant", categories=("x",), mark=0),
        Column(name="fare", kind="numeric"),
        Column(name="born", kind="date", form="%Y-%m-%d"),
        Column(name="sex", kind="categorical", categories=("f", "m")),
        Column(name="empty", kind="constant"),
    ]
)
"""Places: port 0-2, age 3, alone 4, fare 5, born 6, sex 7-8; marks: port 9, age 10, same 11."""


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def mixed(columns=COLUMNS, size=12, **options):
    made = MixedLikelihood(MixedLikelihood.Config(**options), (size,), columns=columns)
    torch.nn.init.normal_(made.log_scale, std=0.5)
    return made


def log_prob(x, params, scale):
    """The log-density of one row (12,), written down column by column."""
    age, fare, born = scale.detach()
    total = sum(Bernoulli(logits=params[place]).log_prob(x[place]) for place in (9, 10, 11, 4))
    total += Normal(params[5], fare).log_prob(x[5]) + Normal(params[6], born).log_prob(x[6])
    total += Categorical(logits=params[7:9]).log_prob(x[7:9].argmax())
    if not x[9]:
        total += Categorical(logits=params[:3]).log_prob(x[:3].argmax())
    if not x[10]:
        total += Normal(params[3], age).log_prob(x[3])
    return total


def test_the_columns_are_where_the_test_says():
    assert [(c.name, c.start, c.mark) for c in COLUMNS if c.width or c.mark is not None] == [
        *[("port", 0, 9), ("age", 3, 10), ("alone", 4, None), ("same", 5, 11), ("fare", 5, None)],
        *[("born", 6, None), ("sex", 7, None)],
    ]


def test_log_prob_is_the_sum_over_observed_columns():
    likelihood = mixed()
    params = torch.randn(4, 30, 12)
    x = likelihood.sample(params[0]).detach()
    assert 0 < x[:, 9].mean() < 1
    assert 0 < x[:, 10].mean() < 1
    expected = [[log_prob(row, p, likelihood.scale) for row, p in zip(x, each, strict=True)] for each in params]
    actual = likelihood.log_prob(x, params).detach()
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=1e-5, atol=1e-4)


def test_what_is_missing_changes_nothing():
    likelihood, params = mixed(), torch.randn(2, 1, 12)
    x = likelihood.sample(params[0]).detach()
    x[:, 9:11] = 1
    other = x.clone()
    other[:, :4] = torch.tensor([0.0, 0.0, 0.0, 77.0])
    assert torch.equal(likelihood.log_prob(x, params), likelihood.log_prob(other, params))


def test_samples_follow_each_columns_distribution():
    likelihood, params = mixed(), torch.randn(12)
    with torch.no_grad():
        x = likelihood.sample(params.expand(20_000, 12))
    for span in (slice(0, 3), slice(7, 9)):
        assert torch.equal(x[:, span].sum(1), torch.ones(len(x)))
        assert torch.equal(x[:, span].amax(1), torch.ones(len(x)))
        np.testing.assert_allclose(x[:, span].mean(0), params[span].softmax(0), atol=0.02)
    for place in (4, 9, 10, 11):
        assert set(x[:, place].tolist()) <= {0.0, 1.0}
        assert float(x[:, place].mean()) == pytest.approx(float(params[place].sigmoid()), abs=0.02)
    for place, scale in zip((3, 5, 6), likelihood.scale.tolist(), strict=True):
        assert stats.kstest(x[:, place], stats.norm(float(params[place]), scale).cdf).pvalue > 1e-3


def test_the_mean_is_that_of_the_samples():
    likelihood, params = mixed(), torch.randn(12)
    with torch.no_grad():
        drawn = likelihood.sample(params.expand(20_000, 12)).mean(0)
    torch.testing.assert_close(likelihood.mean(params), drawn, atol=0.05, rtol=0)


def test_numbers_alone_are_a_gaussian_with_a_scale_for_each():
    likelihood = MixedLikelihood(MixedLikelihood.Config(), (5,))
    gaussian = GaussianLikelihood(GaussianLikelihood.Config(), (5,))
    x, params = torch.randn(3, 5), torch.randn(2, 3, 5)
    torch.testing.assert_close(likelihood.log_prob(x, params), gaussian.log_prob(x, params))


def test_a_table_of_marks_and_numbers_has_no_categories():
    columns = laid_out([Column(name="a", kind="numeric", mark=0)])
    likelihood = mixed(columns, 2)
    x, params = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.zeros(1, 2, 2)
    scale = likelihood.scale
    expected = torch.stack([Normal(0.0, scale[0]).log_prob(x[0, 0]) - math.log(2), torch.tensor(-math.log(2))])
    torch.testing.assert_close(likelihood.log_prob(x, params)[0], expected)
    assert likelihood.sample(params).shape == (1, 2, 2)


def test_no_scale_falls_below_the_least():
    likelihood = mixed(least_scale=0.2)
    torch.nn.init.constant_(likelihood.log_scale, -50)
    assert likelihood.scale.tolist() == pytest.approx([0.2] * 3)


def test_images_are_no_rows():
    with pytest.raises(ComponentError, match=r"it takes rows of a table, \(D,\), .*not \(1, 8, 8\)"):
        MixedLikelihood(MixedLikelihood.Config(), (1, 8, 8))
