import math

import pytest
import torch

from genkit.data.dataset import Dataset
from genkit.errors import ComponentError, GenkitError, GenkitWarning, MetricError
from genkit.evaluation.figures import evaluate
from genkit.evaluation.metrics import check, descriptions, figures, measure, measure_each, named
from genkit.interfaces import Description, Metric, Split
from genkit.registry.registry import installed
from genkit.testing.passes import tiny_model

X = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(20) % 2
DATA = Dataset(Split(X[:12], LABELS[:12]), None, Split(X[12:], LABELS[12:]), ("a", "b"), False)
FIGURES = {
    "one": Description("the first", "bits", "lower", "A number.", ",.1f"),
    "two": Description("the second", sentence="Another."),
}


@pytest.fixture
def config_of(variant):
    """`config_of(measure, **members)`: the options of a metric whose figures that function gives."""

    def make(function, **members):
        name = variant(Metric, measure=function, figures=FIGURES, **members)
        return installed().settings("metric", name)()

    return make


def test_it_sees_the_split_the_training_data_and_every_batch_in_order(config_of):
    seen = {}

    def record(self, model, data, seed):
        passes = [passed(2) for passed in data.passes(3)]
        seen.update(data=data, x=torch.cat([one.x for one in passes]), draws=passes[0].latent.z.shape[0], seed=seed)
        seen["training"], seen["gradients"] = model.training, torch.is_grad_enabled()
        return {"two": 2, "one": 1.5}

    assert measure(tiny_model((3,)), DATA, config_of(record), seed=7) == {"one": 1.5, "two": 2.0}
    assert torch.equal(seen["x"], DATA.test.x)
    assert seen["data"].split is DATA.test
    assert seen["data"].train is DATA.train
    assert seen["data"].classes == ("a", "b")
    assert (seen["draws"], seen["seed"], seen["training"], seen["gradients"]) == (2, 7, False, False)


def test_the_seed_decides_the_draws_and_nothing_else_is_drawn_from(config_of):
    config = config_of(lambda self, model, data, seed: {"one": float(torch.rand(()))})
    before = torch.get_rng_state()
    one, other, again = (measure(tiny_model((3,)), DATA, config, seed=seed)["one"] for seed in (1, 2, 1))
    assert one == again != other
    assert torch.equal(torch.get_rng_state(), before)


def fails(self, model, data, seed):
    raise ValueError("a matrix\nis singular")


def refuses(self, model, data, seed):
    raise GenkitError("it takes images")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (fails, r"metric 'of-test' fails: ValueError: a matrix is singular \(test_metrics.py:\d+\)"),
        (refuses, "metric 'of-test': it takes images"),
        (lambda *_: {"three": 1.0}, "metric 'of-test' gives 'three', which its `figures` do not describe"),
        (lambda *_: {"one": math.nan}, "metric 'of-test': 'one' is nan, not a finite number"),
        (lambda *_: {"one": torch.ones(())}, r"'one' is Tensor, and must be a number: float\(value\)"),
        (lambda *_: 3.0, "gives float, and must give its figures by their keys"),
    ],
)
def test_what_is_no_figure_is_an_error_with_the_metrics_name(config_of, function, said):
    with pytest.raises(MetricError, match=said):
        measure(tiny_model((3,)), DATA, config_of(function))


def test_what_model_or_data_lack_is_said_of_every_metric(config_of):
    model = tiny_model((3,))
    config = config_of(fails, needs=("labels", "prior"))
    bare = Dataset(Split(X, None), None, Split(X, None), None, False)
    with pytest.raises(MetricError, match=r"^metric 'of-test' needs labels, and the data have none$"):
        check(model, bare, [config])
    model.sampler.has_prior = False
    said = "metric 'of-test' needs a prior to draw from, and the sampler has none"
    with pytest.raises(MetricError, match=f"^{said}\n{said}$"):
        check(model, DATA, [config, config])
    model.encoder = None
    with pytest.raises(MetricError, match="needs an encoder, and the model has none"):
        check(model, DATA, [config_of(fails)])


def test_two_of_a_name_are_told_apart_and_shown_with_their_descriptions(config_of):
    config = config_of(lambda *_: {"one": 1.0})
    assert list(named([config, config])) == ["of-test", "of-test-2"]
    assert list(descriptions([config, config])) == [
        "metrics.of-test.one",
        "metrics.of-test.two",
        "metrics.of-test-2.one",
        "metrics.of-test-2.two",
    ]
    evaluation = evaluate(tiny_model((3,)), DATA, metrics=[config, config])
    assert evaluation.to_json()["metrics"] == {"of-test": {"one": 1.0}, "of-test-2": {"one": 1.0}}
    shown = {figure.key: figure for figure in evaluation.figures([config, config])}
    assert shown["metrics.of-test-2.one"].text == "1.0"
    assert shown["metrics.of-test.one"].about is FIGURES["one"]
    assert "elbo" in shown
    assert figures({"of-test": {"old": 3.0}}, [config]) == []


def test_without_metrics_an_evaluation_is_written_as_before():
    assert "metrics" not in evaluate(tiny_model((3,)), DATA).to_json()


def test_several_wrong_descriptions_are_refused_at_once(config_of):
    model = tiny_model((3,))
    wrong = config_of(fails)
    type(wrong).component.figures = {"one": Description("one", better="down")}
    with pytest.raises(ComponentError, match=r"(?s)better is 'down'.*\n.*better is 'down'"):
        check(model, DATA, [wrong, wrong])
    with pytest.raises(ComponentError, match="metric 'of-test': figure 'one': better is 'down'"):
        measure(model, DATA, wrong)
    with pytest.warns(GenkitWarning, match="better is 'down'; write .*; its figures are left out"):
        assert descriptions([wrong]) == {}


def test_what_it_changes_of_the_model_is_put_back_with_a_warning(config_of):
    def changes(self, model, data, seed):
        next(model.decoder.parameters()).data.zero_()
        return {"one": 1.0}

    model = tiny_model((3,))
    list(model.parameters())[-1].data.fill_(math.nan)  # is the same as itself
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.warns(GenkitWarning, match=r"metric 'x' changes decoder.layer.weight of the model; it was put back"):
        measure(model, DATA, config_of(changes), name="x")
    for name, value in model.state_dict().items():
        assert torch.equal(value.nan_to_num(), before[name].nan_to_num()), name


def test_one_that_fails_is_put_back_too_and_one_that_changes_nothing_is_no_warning(config_of, recwarn):
    def breaks(self, model, data, seed):
        next(model.decoder.parameters()).data.zero_()
        raise ValueError("broken")

    model = tiny_model((3,))
    before = next(model.decoder.parameters()).clone()
    values, errors = measure_each(model, DATA, {"a": config_of(lambda *_: {"one": 1.0})})
    assert (values, errors, [*recwarn]) == ({"a": {"one": 1.0}}, {}, [])
    with pytest.warns(GenkitWarning, match="put back"):
        values, errors = measure_each(model, DATA, {"b": config_of(breaks)})
    assert values == {}
    assert str(errors["b"]).startswith("metric 'b' fails: ValueError: broken")
    assert torch.equal(next(model.decoder.parameters()), before)
