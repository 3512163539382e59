"""Figures and scores in Python: a model, a run and a path give the same, on splits by name and on data."""

import numpy as np
import pytest
import torch

import genkit
from genkit.errors import ConfigError, DataError, GenkitError, MetricError, WeightsError
from genkit.runs.running import run
from tests.models import PARTS


@pytest.fixture(scope="module")
def vae(trained):
    return trained["vae-digits"]


@pytest.fixture(scope="module")
def loaded(vae):
    return genkit.load(vae.directory.path)


def test_a_run_a_model_and_a_path_have_the_figures_of_the_run(vae, loaded):
    expected, path = vae.evaluation, vae.directory.path
    for model in (vae, vae.model, loaded, path, str(path), path / "model.safetensors"):
        assert genkit.evaluate(model) == expected
    assert genkit.evaluate(loaded, genkit.reopen(path)[1]) == expected
    assert genkit.evaluate(loaded, seed=7) != expected


def test_splits_go_by_their_names(vae, loaded):
    counts = vae.data.counts()
    for name in ("train", "validation", "test"):
        assert genkit.evaluate(loaded, name).count == counts[name]
    assert genkit.evaluate(vae, vae.data, "all").count == sum(counts.values())


def test_data_have_the_figures_of_the_split_that_they_are(vae, loaded):
    x = vae.data.test.x
    for data in (x, x.numpy(), x.numpy().astype(np.float64), vae.data.test):
        evaluation = genkit.evaluate(loaded, data)
        assert (evaluation.split, evaluation.count) == ("all", len(x))
        assert evaluation.elbo == pytest.approx(vae.evaluation.elbo, rel=1e-6)
    assert genkit.evaluate(loaded, x[:1]).count == 1


def test_metrics_go_by_name_by_option_and_by_settings(vae, loaded):
    bounds = [
        genkit.evaluate(loaded, "test", metrics=metrics).metrics["nll"]
        for metrics in ("nll.draws=3", ["nll.draws=3"], [_nll(vae)])
    ]
    assert bounds[0] == bounds[1] == bounds[2]
    closest = genkit.evaluate(loaded, vae.data.test, metrics=["closest_record"]).metrics["closest_record"]
    assert closest["held_out"] > 0  # measured from the training data, not from the test data themselves


def _nll(vae):
    from genkit.runs.metrics import chosen

    return chosen(vae.config, (), ["nll.draws=3"])[0]


@pytest.mark.usefixtures("bare")
def test_metrics_of_the_config_are_measured_unasked(tmp_path):
    done = run({**PARTS, "metrics": {"name": "nll", "draws": 3}}, ["training.epochs=1"], out=tmp_path / "run")
    assert done.evaluation.metrics
    assert genkit.evaluate(tmp_path / "run") == done.evaluation
    assert genkit.evaluate(tmp_path / "run", done.data.test.x).metrics == {}


def test_scores_are_those_of_the_data(vae, loaded):
    scores = genkit.score(loaded, "test")
    for data in (vae.data.test.x, vae.data.test):
        torch.testing.assert_close(genkit.score(vae, data).score, scores.score)
    assert float(scores.score.mean()) == pytest.approx(-genkit.evaluate(vae, draws=16, seed=0).elbo, rel=1e-5)


def test_a_model_that_reads_labels_takes_a_split(tmp_path, bare_run):
    done = bare_run({**PARTS, "condition": "labels"}, ["training.epochs=1"], out=tmp_path / "run")
    test = done.data.test
    assert genkit.evaluate(done, test).elbo == pytest.approx(done.evaluation.elbo, rel=1e-6)
    with pytest.raises(DataError, match="reads 'labels' beside the data, and there are none"):
        genkit.evaluate(done, test.x)
    with pytest.raises(DataError, match="labels"):
        genkit.evaluate(done, test._replace(labels=torch.full_like(test.labels, 10)))


def test_a_model_from_elsewhere_opens_no_file_that_it_names(tmp_path, bare_run):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((40, 1, 8, 8), np.float32))
    values = {**PARTS, "data": {"name": "arrays", "path": tmp_path / "x.npy"}}
    done = bare_run(values, ["training.epochs=1"], out=tmp_path / "run")
    (tmp_path / "model.safetensors").write_bytes(done.directory.model.read_bytes())
    model = genkit.load(tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match="read only if asked for"):
        genkit.evaluate(model, "test")
    assert genkit.evaluate(model, done.data.test.x).count == done.evaluation.count


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("tests",), DataError, "there is no split 'tests'; choose from"),
        (([1, 2],), DataError, "the data are of type list; give the name of a split"),
        ((torch.rand(3, 8, 8),), DataError, r"takes data of shape \(N, 1, 8, 8\)"),
        ((torch.rand(0, 1, 8, 8),), DataError, "there are no data"),
        ((torch.full((3, 1, 8, 8), 5.0),), DataError, "takes values from 0 to 1"),
        ((torch.full((3, 1, 8, 8), torch.nan),), DataError, "NaN"),
        ((torch.rand(3, 1, 8, 8), "test"), DataError, "split='test' is that of a data set"),
        (("test", None, 0), DataError, "at least one draw"),
        (("test", None, 1, 0, "nl"), ConfigError, "did you mean 'nll'"),
        ((torch.rand(3, 1, 8, 8), None, 1, 0, "probe"), MetricError, "needs labels"),
    ],
)
def test_what_cannot_be_measured_is_named(loaded, arguments, error, message):
    with pytest.raises(error, match=message):
        genkit.evaluate(loaded, *arguments)


def test_what_is_no_model_is_named(tmp_path, vae):
    with pytest.raises(GenkitError, match=r"the model is of type int; give a genkit\.Model"):
        genkit.evaluate(3)
    with pytest.raises(WeightsError, match="there is no such file"):
        genkit.evaluate(tmp_path / "nowhere")
    with pytest.raises(DataError, match="loaded from no run and no file"):
        genkit.evaluate(genkit.build(vae.config, (1, 8, 8)))
