"""The options by which configs differ."""

import pytest

from genkit.runs.opening import as_config
from genkit.settings.differences import ABSENT, Difference, differences, paths_of, short, slug, text_of, varying


def of(digits, *overrides):
    return as_config(digits, overrides).resolved()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], []),
        (["name=other"], []),
        (["sampler.latent=8"], [("sampler.latent", 2, 8)]),
        (["loss.kl.weight=0.5", "seed=1"], [("seed", 0, 1), ("loss.kl.weight", 1.0, 0.5)]),
        (["encoder.hidden=[16]"], [("encoder.hidden", [256, 128], [16])]),
        (["encoder=cnn"], [("encoder", "mlp", "cnn")]),
        (["prior=vamp"], [("prior", None, "vamp")]),
        (["metrics=nll"], [("metrics", [], ["nll"])]),
        (["training.checkpoint.epochs=2"], [("training.checkpoint.epochs", 1, 2)]),
        (["loss=[reconstruction, kl, kl]"], [("loss", ["reconstruction", "kl"], ["reconstruction", "kl", "kl-2"])]),
    ],
)
def test_each_option_that_differs_is_named_as_an_override_writes_it(digits, overrides, expected):
    assert differences(of(digits), of(digits, *overrides)) == [Difference(*each) for each in expected]


def test_a_schedule_in_place_of_a_number_is_one_value_and_two_schedules_differ_by_their_options(digits):
    ramps = [of(digits, f"loss.kl.weight={{from: 0, to: 1, epochs: {epochs}}}") for epochs in (5, 9)]
    (change,) = differences(of(digits), ramps[0])
    assert (change.path, change.before, change.after["epochs"]) == ("loss.kl.weight", 1.0, 5)
    assert text_of(change.after) == "{schedule: linear, from: 0, to: 1, epochs: 5}"
    assert differences(*ramps) == [("loss.kl.weight.epochs", 5, 9)]


def test_options_of_a_part_are_compared_among_those_that_have_it(digits):
    cnns = [of(digits, f"encoder={{name: cnn, layers: [{{channels: {n}}}]}}") for n in (4, 8)]
    (first, names), (second, layers) = varying([of(digits), *cnns]).items()
    assert (first, names) == ("encoder", ["mlp", "cnn", "cnn"])
    assert (second, layers[0]) == ("encoder.layers", ABSENT)
    assert [each[0]["channels"] for each in layers[1:]] == [4, 8]


def test_an_option_that_another_version_does_not_have_is_no_difference(digits):
    older = of(digits)
    del older["training"]["ema"], older["encoder"]["dropout"]
    assert differences(older, of(digits)) == []


def test_names_are_as_short_as_they_can_be(digits):
    paths = list(paths_of(of(digits)))
    names = {
        "sampler.latent": "latent",
        "encoder.hidden": "encoder.hidden",
        "training.epochs": "epochs",
        "seed": "seed",
    }
    names |= {"training.checkpoint.epochs": "checkpoint.epochs", "loss.kl.weight": "kl.weight"}
    assert {path: short(path, paths) for path in names} == names


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("sampler.latent", 8, "latent8"),
        ("loss.kl.weight", 0.5, "kl.weight0.5"),
        ("training.optimizer.lr", 1e-5, "lr1e-05"),
        ("encoder.hidden", [256, 128], "encoder.hidden256x128"),
        ("encoder", "cnn", "encoder-cnn"),
        ("prior", None, "prior-null"),
        ("data.binarize", True, "binarize-true"),
        ("loss.kl.weight", {"schedule": "linear", "from": 0.0}, "kl.weight-linear"),
        ("data.path", "/home/me/my data/new file.csv", "path-new-file"),
        ("data.path", "../..", "path"),
        ("metrics", [], "metrics"),
        ("init", {"from": "../secret"}, "init"),
    ],
)
def test_a_slug_is_short_and_safe_in_every_file_system(digits, path, value, expected):
    assert slug(Difference(path, 0, value), list(paths_of(of(digits)))) == expected
