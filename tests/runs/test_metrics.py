"""Metrics from a config to whatever shows figures."""

import json

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import genkit
from genkit.config import RunConfig
from genkit.errors import ComponentError, ConfigError, GenkitWarning, MetricError
from genkit.evaluation import classifier
from genkit.evaluation.figures import evaluate
from genkit.evaluation.metrics import measure
from genkit.files import atomic
from genkit.interfaces import Description, Metric
from genkit.record.stages import STAGES
from genkit.registry.registry import installed
from genkit.runs.comparison import compare
from genkit.runs.metrics import chosen, unasked
from genkit.runs.opening import as_config
from genkit.runs.preflight import check
from genkit.runs.running import resume, run
from genkit.sharing.card import front_matter, write
from genkit.sharing.facts import gather
from genkit_metrics import NLL, Probe

pytestmark = pytest.mark.slow

QUICK = ["training.epochs=2", "encoder.hidden=[8]", "decoder.hidden=[8]"]
METRICS = "metrics=[{name: nll, draws: 5}, probe]"


@pytest.fixture(autouse=True)
def _knows_little(monkeypatch):
    """The classifier of comparisons is trained briefly."""
    monkeypatch.setattr(classifier, "STEPS", 20)


@pytest.fixture(scope="module")
def measured(digits, tmp_path_factory):
    """A short run whose config names two metrics; tests only read it."""
    return run(digits, [*QUICK, METRICS], out=tmp_path_factory.mktemp("measured") / "run")


def test_one_metric_stands_for_a_list_of_one(digits):
    assert as_config(digits).metrics == ()
    one = as_config(digits, ["metrics=nll"])
    assert one.metrics == (NLL.Config(),)
    assert as_config(one, ["metrics.nll.draws=7"]).metrics == (NLL.Config(draws=7),)
    assert RunConfig.model_validate(one.resolved()) == one
    with pytest.raises(ConfigError, match="unknown metric 'nl'; did you mean 'nll'"):
        as_config(digits, ["metrics=nl"])


def test_what_is_asked_for_is_added_or_changes_an_option(digits):
    config = as_config(digits, [METRICS])
    assert chosen(config, config.metrics, ()) == config.metrics
    assert chosen(config, config.metrics, ["nll.draws=9"]) == (NLL.Config(draws=9), Probe.Config())
    assert chosen(config, (), ["probe.neighbours=3", "nll"]) == (Probe.Config(neighbours=3), NLL.Config())
    for asked, said in (
        ("nl", r"--metric: metrics\[0\]: unknown metric 'nl'"),
        ("nll.draws=0", "'metrics.nll.draws=0': metrics.*draws: must be greater than or equal to 1"),
        ("nll.drews=1", "unknown key 'drews'; did you mean 'draws'"),
        ("nll.draws", "'metrics.nll.draws' is no override"),
    ):
        with pytest.raises(ConfigError, match=said):
            chosen(config, (), [asked])


def test_what_comes_unasked_is_what_applies_and_is_not_there(measured, trained):
    model, data = measured.model, measured.data
    assert list(unasked(model, data, "test", ())) == [Probe.Config()]
    assert list(unasked(model, data, "test", [Probe.Config(neighbours=2)])) == []
    assert list(unasked(trained["gan"].model, data, "test", ())) == []


def test_the_figures_are_in_the_file_and_those_of_evaluate(measured, cli):
    values = json.loads(measured.directory.evaluation.read_text())
    assert values == measured.evaluation.to_json()
    assert values["metrics"].keys() == {"nll", "probe"}
    shown = json.loads(cli("evaluate", measured.directory.path, "--json").out)
    assert shown["metrics"] == values["metrics"]
    again = measure(genkit.load(measured.directory.path), measured.data, NLL.Config(draws=5))
    assert again == values["metrics"]["nll"]
    lines = cli("evaluate", measured.directory.path, "--metric", "nll.draws=1").out.splitlines()
    (line,) = [line for line in lines if line.startswith("metrics.nll.bound ")]
    assert line.endswith("bound on −log p(x), 1 draw, nats per datum ↓")


def test_whatever_shows_figures_shows_them(measured):
    nll = measured.evaluation.metrics["nll"]["bound"]
    figures = {figure.key: figure.value for figure in measured.figures()}
    assert figures["metrics.nll.bound"] == nll
    facts = gather(measured.directory.path)
    assert f"| bound on −log p(x), 5 draws ↓ | {nll:,.2f} nats per datum | " in write(facts, measured.directory.path)
    metrics = front_matter(facts)["model-index"][0]["results"][0]["metrics"]
    entry = {"type": "metrics.nll.bound", "value": round(nll, 4), "name": "bound on −log p(x), 5 draws, nats per datum"}
    assert entry in metrics
    events = EventAccumulator(str(measured.directory.path)).Reload()
    (event,) = events.Scalars("test/metrics.nll.bound")
    assert event.value == pytest.approx(nll, rel=1e-6)


def test_models_are_compared_by_all_metrics_of_all(measured, trained, cli, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("genkit.evaluation.classifier.STEPS", 20)
    paths = [trained[name].directory.path for name in ("vae-digits", "gan")]
    compared = compare([measured.directory.path, paths[0], paths[1]], count=100, cache=tmp_path)
    assert compared.metrics == measured.config.metrics
    of = [entry.evaluation.metrics for entry in compared.comparison.entries]
    assert [one.keys() for one in of] == [{"nll", "probe"}, {"nll", "probe"}, set()]
    assert of[0]["nll"] != of[1]["nll"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    answer = cli("compare", *paths, "-n", 100, "--metric", "nll.draws=2", "--out", tmp_path / "page.png")
    (row,) = [line for line in answer.out.splitlines() if line.startswith("bound on −log p(x), 2 draws")]
    assert [row.split()[-1], row.split()[-2]] == ["–", "–"]  # neither the floor nor the GAN has it
    assert float(row.split()[-3].replace(",", "")) > 0
    alone = cli("compare", paths[1], "--metric", "nll", "--out", tmp_path / "page.png")
    assert (alone.code, alone.err) == (2, "error: metric 'nll' needs an encoder, and the model has none\n")


def test_what_the_model_cannot_have_is_refused_before_training(digits, tmp_path):
    point = [*QUICK, "sampler={name: point, latent: 2}", "loss=reconstruction", "metrics=nll"]
    said = r"metric 'nll' needs a density of q\(z\|x\), and sampler 'point' has none"
    with pytest.raises(MetricError, match=said):
        run(digits, point, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (error,) = check(as_config(digits, point), probe=False).errors
    assert error.startswith("metric 'nll' needs a density")


@pytest.mark.usefixtures("bare")
def test_a_conditional_model_is_measured_with_its_side_data(digits, tmp_path):
    options = [*QUICK, METRICS, "condition=labels", "data.transform=standardize", "likelihood={name: gaussian}"]
    ended = run(digits, options, out=tmp_path / "run")
    assert ended.evaluation.metrics.keys() == {"nll", "probe"}
    many = [measure(ended.model, ended.data, NLL.Config(draws=1), seed=seed)["bound"] for seed in range(10)]
    spread = torch.tensor(many).std().item()
    elbo = evaluate(ended.model, ended.data, draws=50).elbo
    assert sum(many) / 10 == pytest.approx(-elbo, abs=max(4 * spread, 0.05))
    drawn = ended.model.sample(20, labels=3)
    assert drawn.shape == (20, 1, 8, 8)
    assert float(drawn.mean()) == pytest.approx(float(ended.data.train.x.mean()), abs=0.1)  # not in standardized units


def test_a_likelihood_that_is_no_density_has_no_bound(measured, monkeypatch):
    monkeypatch.setattr(type(measured.model.likelihood), "is_density", False)
    with pytest.raises(MetricError, match="metric 'nll' needs a density of x, and likelihood 'bernoulli' is none"):
        measure(measured.model, measured.data, NLL.Config())


def broken(self, model, data, seed):
    raise ValueError("no such matrix")


FIGURES = {"one": Description("a number", sentence="A number.")}


@pytest.mark.usefixtures("bare")
def test_one_that_fails_is_a_warning_and_the_others_are_kept(digits, tmp_path, variant):
    name = variant(Metric, measure=broken, figures=FIGURES)
    said = rf"^metric '{name}' fails: ValueError: no such matrix \(.*\); the run's other figures are written"
    with pytest.warns(GenkitWarning, match=said):
        ended = run(digits, [*QUICK, f"metrics=[{name}, {{name: nll, draws: 2}}]"], out=tmp_path / "run")
    assert ended.evaluation.metrics.keys() == {"nll"}
    assert json.loads(ended.directory.evaluation.read_text())["metrics"].keys() == {"nll"}
    assert "evaluated" not in ended.directory.stages.done(2)
    variant(Metric, measure=lambda *_: {"one": 1.0}, figures=FIGURES)
    assert resume(tmp_path / "run").evaluation.metrics == {**ended.evaluation.metrics, name: {"one": 1.0}}
    assert sorted(ended.directory.stages.done(2)) == sorted(STAGES)


@pytest.mark.usefixtures("bare")
def test_it_leaves_the_weights_what_they_are(digits, tmp_path):
    plain, more = (
        run(digits, [*QUICK, *extra], out=tmp_path / str(len(extra))).model.state_dict() for extra in ([], [METRICS])
    )
    assert all(torch.equal(plain[key], more[key]) for key in plain)


def test_figures_that_are_no_numbers_are_a_damaged_file(measured, tmp_path):
    for path in (measured.directory.model, measured.directory.config):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    values = measured.evaluation.to_json()
    values["metrics"]["nll"]["bound"] = "low"
    atomic.write_text(tmp_path / "evaluation.json", json.dumps(values))
    with pytest.raises(genkit.GenkitError, match=r"evaluation.json: is damaged .*metrics.nll.bound"):
        gather(tmp_path)


def described(monkeypatch, name, **members):
    """Change attributes of the installed metric of a name for a test."""
    for key, value in members.items():
        monkeypatch.setattr(installed().find("metric", name), key, value)


@pytest.mark.usefixtures("bare")
@pytest.mark.filterwarnings("default::genkit.errors.GenkitWarning")
def test_a_wrong_description_is_refused_before_training_and_breaks_nothing_afterwards(
    digits, tmp_path, variant, monkeypatch, cli
):
    name = variant(Metric, measure=lambda *_: {"one": 1.0}, figures=FIGURES)
    options = [*QUICK, f"metrics=[{name}, {{name: nll, draws: 2}}]"]
    ended = run(digits, options, out=tmp_path / "run")
    described(monkeypatch, name, figures={"one": Description("a number", better="up")})
    said = f"metric '{name}': figure 'one': better is 'up'; write 'lower', 'higher' or None"
    (error,) = check(as_config(digits, options), probe=False).errors
    assert error == said
    with pytest.raises(ComponentError, match="better is 'up'"):
        run(digits, options, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()
    with pytest.warns(GenkitWarning, match="better is 'up'"):
        keys = {each.key for each in ended.figures() if each.key.startswith("metrics.")}
    assert keys == {"metrics.nll.bound", "metrics.nll.standard_error"}
    with pytest.warns(GenkitWarning, match="better is 'up'"):
        assert "bound on −log p(x), 2 draws ↓ |" in write(gather(tmp_path / "run"), tmp_path)
    with pytest.warns(GenkitWarning, match="better is 'up'"):
        compared = compare([tmp_path / "run"], count=100, cache=tmp_path)
    assert [each.name for each in compared.metrics] == ["nll"]
    answer = cli("evaluate", tmp_path / "run")
    assert (answer.code, answer.err) == (0, f"warning: {said}; its figures are left out\n")
    assert "metrics.nll.bound" in answer.out


@pytest.mark.usefixtures("bare")
@pytest.mark.filterwarnings("default::genkit.errors.GenkitWarning")
def test_one_that_fails_costs_a_comparison_and_an_evaluation_its_own_figures(
    measured, tmp_path, variant, cli, monkeypatch
):
    name, path = variant(Metric, measure=broken, figures=FIGURES), measured.directory.path
    with pytest.warns(GenkitWarning, match=f"run: metric '{name}' fails: ValueError: no such matrix"):
        compared = compare([path], count=100, cache=tmp_path, metrics=[name])
    assert compared.comparison.entries[0].evaluation.metrics.keys() == {"nll", "probe"}
    asked = cli("evaluate", path, "--metric", name)
    assert (asked.code, asked.out) == (2, "")
    assert asked.err.startswith(f"error: metric '{name}' fails: ValueError: no such matrix")
    described(monkeypatch, name, in_evaluate=True)
    unasked = cli("evaluate", path, "--json")
    assert unasked.err.startswith(f"warning: metric '{name}' fails: ValueError: no such matrix")
    assert (unasked.code, json.loads(unasked.out)["metrics"].keys()) == (0, {"nll", "probe"})
    described(monkeypatch, name, figures={"one": "text"})
    wrong = cli("evaluate", path, "--json")
    assert (wrong.code, wrong.err.count("\n")) == (0, 1)
    assert wrong.err.startswith(f"warning: metric '{name}': figure 'one' is described by no")
