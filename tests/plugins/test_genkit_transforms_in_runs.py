"""Transforms from a config to samples in the data's own units."""

import json

import numpy as np
import pytest
import torch
from torch.distributions import LogNormal

import genkit
from genkit.data.assumptions import notes
from genkit.data.loading import load as load_data
from genkit.errors import ComponentError, ConfigError, DataError, GenkitError
from genkit.evaluation.figures import evaluate
from genkit.evaluation.metrics import measure
from genkit.interfaces import Transform
from genkit.record.stages import STAGES
from genkit.runs.opening import as_config, prepare, reopen
from genkit.runs.running import resume, run
from genkit.sharing.card import write
from genkit.sharing.export import export
from genkit.sharing.facts import gather
from genkit_metrics import NLL

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
DOLLARS = np.exp(RNG.normal(size=(400, 3)) * [0.5, 1, 0.2] + [9, 3, 6]).astype(np.float32)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "x.npy"
    np.save(path, DOLLARS)
    return path


def config_of(path, *transforms, **more):
    return as_config(
        {
            "name": "table",
            "data": {"name": "arrays", "path": str(path), "transform": list(transforms)},
            "encoder": {"name": "mlp", "hidden": [16]},
            "sampler": {"name": "gaussian", "latent": 2},
            "decoder": {"name": "mlp", "hidden": [16]},
            "likelihood": {"name": "gaussian", "scale": 0.5},
            "loss": ["reconstruction", "kl"],
            "training": {"epochs": 20, "batch_size": 50, "optimizer": {"name": "adam", "lr": 0.01}},
            **more,
        }
    )


@pytest.fixture(scope="module")
def trained_table(table, tmp_path_factory):
    """A short run on dollars; tests only read it."""
    return run(config_of(table, "log1p", "standardize"), out=tmp_path_factory.mktemp("trained") / "run")


def test_a_model_that_was_trained_on_dollars_gives_dollars_back(trained_table):
    model = genkit.load(trained_table.directory.path)
    torch.manual_seed(0)
    drawn = model.sample(400)
    own = torch.from_numpy(DOLLARS)
    assert (drawn.log().mean(0) - own.log().mean(0)).abs().max() < 0.3
    assert drawn[:, 0].median() > 5_000
    rebuilt = model.reconstruct(own)
    with torch.no_grad():
        z = model.sampler(model.encoder(model.transforms(own)), 0).mean
        torch.testing.assert_close(rebuilt, model.transforms.inverse(model.decoder(z)), rtol=1e-4, atol=1e-2)
    assert torch.equal(model.decode(model.encode(own)), rebuilt)
    assert torch.equal(model.interpolate(own[0], own[1])[0], model.reconstruct(own[:1])[0])
    assert trained_table.model.limits == (
        float(trained_table.data.train.x.min()),
        float(trained_table.data.train.x.max()),
    )


def test_what_it_fitted_is_in_the_file_bit_for_bit(trained_table, table):
    loaded, own = genkit.load(trained_table.directory.path), torch.from_numpy(DOLLARS)
    assert torch.equal(loaded.transforms(own), trained_table.model.transforms(own))
    assert {"transforms.1.mean", "transforms.1.deviation"} <= loaded.state_dict().keys()
    fresh = load_data(config_of(table, "log1p", "standardize").data)
    assert torch.equal(fresh.transforms(own), loaded.transforms(own))


def test_other_data_go_through_the_transforms_of_the_model(trained_table, tmp_path):
    np.save(tmp_path / "few.npy", DOLLARS[:7] * 2)
    source = f"data={{name: arrays, path: {tmp_path / 'few.npy'}, test: 0, validation: 0}}"
    model, data = reopen(trained_table.directory.path, [source])
    (batch,) = data.batches(data.train, 10)
    torch.testing.assert_close(batch.x, model.transforms(torch.from_numpy(DOLLARS[:7] * 2)))
    with pytest.raises(DataError, match="transform 'log1p' takes values from 0 to inf, and the data go from -1"):
        model.encode(-torch.ones(2, 3))


def test_figures_are_in_the_units_of_the_data(table):
    """For a decoder that ignores z, log p(x) is that of a log-normal distribution (up to log1p against log)."""
    data, model = prepare(config_of(table, "log1p", "standardize"))
    with torch.no_grad():
        for part in (model.decoder, model.sampler):
            for parameter in part.parameters():
                parameter.zero_()
    evaluation = evaluate(model, data)
    x = data.test.x
    logs = torch.log1p(data.train.x)
    mean, deviation = logs.mean(0), logs.std(0, correction=0)
    exact = LogNormal(mean, 0.5 * deviation).log_prob(x + 1).sum(1).mean()
    assert evaluation.elbo == pytest.approx(float(exact), abs=1e-3)
    assert evaluation.log_det == pytest.approx(float(-(torch.log1p(x).sum(1) + deviation.log().sum()).mean()), abs=1e-3)
    bound = measure(model, data, NLL.Config(draws=3))["bound"]
    assert bound == pytest.approx(-float(exact), abs=1e-3)
    centre = torch.expm1(mean)
    errors = (x - centre).double().square().sum() / (x - x.mean(0)).double().square().sum()
    assert evaluation.unexplained == pytest.approx(float(errors), rel=1e-3)


def test_the_elbo_of_other_units_is_off_by_their_logarithm_alone(tmp_path):
    """The same data in cents: the same model in its own units, and an ELBO that is lower by 3 log 100."""
    np.save(tmp_path / "dollars.npy", DOLLARS)
    np.save(tmp_path / "cents.npy", DOLLARS * 100)
    elbos = [
        evaluate(*reversed(prepare(config_of(tmp_path / f"{unit}.npy", "standardize")))).elbo
        for unit in ("dollars", "cents")
    ]
    assert elbos[0] - elbos[1] == pytest.approx(3 * np.log(100), abs=1e-2)


def test_a_killed_run_goes_on_to_the_same_weights(table, tmp_path, bare):
    config = config_of(table, "log1p", "standardize", training={"epochs": 2, "batch_size": 50})
    whole = run(config, out=tmp_path / "whole").model.state_dict()
    run(config, out=tmp_path / "parts", until=(1, 2))
    again = resume(tmp_path / "parts").model.state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_single_name_stands_for_a_list_and_what_excludes_it_is_refused(table, digits):
    assert as_config(config_of(table), ["data.transform=log1p"]).data.transform[0].name == "log1p"
    with pytest.raises(ConfigError, match="unknown transform 'log2'"):
        config_of(table, "log2")
    with pytest.raises(DataError, match=r"standardize: true and data.transform exclude each other"):
        prepare(as_config(config_of(table, "log1p"), ["data.standardize=true"]))
    with pytest.raises(DataError, match=r"binarize: dynamic and data.transform exclude each other"):
        prepare(as_config(digits, ["data.transform=range", "data.binarize=dynamic"]))


def test_a_range_lets_a_likelihood_take_data_that_it_would_refuse(table):
    bounded = as_config(config_of(table, "range", likelihood="bernoulli"), ["data.test=0", "data.validation=0"])
    data, _ = prepare(bounded)
    assert data.transforms.extent(data.train.x) == (0.0, 1.0)
    assert notes(data)[0].startswith("numbers as they are, which the model sees through range")
    with pytest.raises(DataError, match="likelihood 'bernoulli' takes values from 0 to 1"):
        prepare(config_of(table, likelihood="bernoulli"))


def clip(variant, **members):
    return variant(
        Transform,
        fit=lambda self, blocks: None,
        forward=lambda self, x: x.clamp(0, 100) / 100,
        inverse=lambda self, y: y * 100,
        log_det=lambda self, x: x.new_zeros(len(x)),
        **members,
    )


def test_where_samples_are_asked_for_what_cannot_be_inverted_is_one_error(table, tmp_path, variant, cli, bare):
    config = config_of(table, clip(variant, invertible=False), training={"epochs": 1, "batch_size": 50})
    ended = run(config, out=tmp_path / "run")
    said = "transform 'of-test' cannot be inverted, so the model gives no data in their own units"
    for ask in (
        lambda m: m.sample(2),
        lambda m: m.reconstruct(ended.data.test.x),
        lambda m: m.decode(torch.zeros(1, 2)),
    ):
        with pytest.raises(ComponentError, match=said):
            ask(ended.model)
    assert ended.model.encode(ended.data.test.x).shape == (80, 2)
    assert ended.evaluation.unexplained is None
    answer = cli("sample", tmp_path / "run", "--out", tmp_path / "x.npy")
    assert (answer.code, answer.err.count("error: ")) == (2, 1)
    assert said in answer.err


def test_its_run_has_the_pictures_that_need_no_way_back(table, tmp_path, variant, cli, monkeypatch):
    monkeypatch.setattr("genkit.evaluation.sample_quality.LEAST", 50)
    monkeypatch.setattr("genkit.runs.comparison.LEAST", 50)
    config = config_of(table, clip(variant, invertible=False), training={"epochs": 1, "batch_size": 50})
    ended = run(config, out=tmp_path / "run")  # no warning
    assert {path.stem for path in ended.directory.pictures.iterdir()} == {"loss", "latents", "filters"}
    assert ended.directory.stages.done(1) == list(STAGES)
    assert cli("compare", tmp_path / "run", "--out", tmp_path / "page.png").code == 0


def test_without_a_density_figures_are_marked_and_rank_no_models(table, tmp_path, variant, cli, bare, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    config = config_of(table, clip(variant, has_log_det=False), training={"epochs": 1, "batch_size": 50})
    ended = run(as_config(config, ["metrics=nll"]), out=tmp_path / "clipped")
    assert json.loads(ended.directory.evaluation.read_text())["own_units"] == "of-test"
    figures = {figure.key: figure.about for figure in gather(tmp_path / "clipped").figures()}
    for key in ("elbo", "reconstruction", "bits_per_dim", "metrics.nll.bound"):
        assert figures[key].name.endswith(" in the units of of-test")
        assert figures[key].better is None
    assert figures["kl"].name == "KL(q(z|x) ‖ p(z))"
    lines = cli("evaluate", tmp_path / "clipped").out.splitlines()
    (line,) = [line for line in lines if line.startswith("elbo ")]
    assert line.endswith("evidence lower bound (ELBO) in the units of of-test, nats per datum")
    run(as_config(config, ["data.transform=standardize"]), out=tmp_path / "plain")
    monkeypatch.setattr("genkit.evaluation.sample_quality.LEAST", 50)
    monkeypatch.setattr("genkit.runs.comparison.LEAST", 50)
    answer = cli("compare", tmp_path / "clipped", tmp_path / "plain", "--out", tmp_path / "page.png")
    rows = [line.split() for line in answer.out.splitlines()]
    (elbo,) = [row for row in rows if row[:3] == ["evidence", "lower", "bound"]]
    assert elbo[-3] == "–"
    assert float(elbo[-2]) < 0
    assert (
        "clipped: its densities are in the units of of-test, which has no log|det J|, and rank no models" in answer.out
    )


def test_an_exported_model_takes_and_gives_the_units_of_the_data(trained_table, tmp_path):
    pytest.importorskip("onnx")
    written = export(trained_table.model, tmp_path / "all.pt2", "all", "torch-export")
    assert written.difference < 1e-5
    program = torch.export.load(tmp_path / "all.pt2").module()
    x = trained_table.data.test.x[:5]
    torch.testing.assert_close(program(x)[1], trained_table.model.reconstruct(x), rtol=1e-4, atol=1e-2)


def test_old_configs_and_files_have_no_transforms(finished):
    assert len(finished.model.transforms) == 0
    assert finished.model.data.transforms == ()
    assert not [name for name in finished.model.state_dict() if name.startswith("transforms")]
    assert as_config(finished.config.resolved()) == finished.config


def test_the_card_says_which_transforms_there_are(trained_table):
    card = write(gather(trained_table.directory.path), trained_table.directory.path)
    assert "| transforms between them and the model | `log1p`, `standardize` |" in card


def test_a_file_from_elsewhere_may_name_transforms(trained_table, tmp_path, table):
    path = tmp_path / "model.safetensors"
    path.write_bytes(trained_table.directory.model.read_bytes())
    with pytest.raises(GenkitError, match=r"says data.path="):
        reopen(path)
    assert len(reopen(path, [f"data.path={table}"])[1].train.x) > 0
