"""Options in Python: they are those of the command line, and what no YAML can hold is named."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import genkit
from genkit.errors import ConfigError
from genkit.runs.assignments import assignments
from genkit.runs.opening import as_config
from tests.models import PARTS


@pytest.mark.parametrize(
    ("overrides", "options", "texts"),
    [
        (["seed=1"], {}, ["seed=1"]),
        ((), {"epochs": 5, "seed": 1}, ["training.epochs=5", "seed=1"]),
        ({"training.epochs": 5}, {}, ["training.epochs=5"]),
        (
            {"training": {"epochs": 5, "optimizer": {"lr": 1e-7}}},
            {},
            ["training.epochs=5", "training.optimizer.lr=1e-07"],
        ),
        ((), {"encoder": {"name": "mlp", "hidden": (3, 4)}}, ['encoder={"name": "mlp", "hidden": [3, 4]}']),
        ((), {"name": "no", "prior": None, "data": Path("x")}, ['name="no"', "prior=null", 'data="x"']),
        ((), {"epochs": np.int64(3), "ema": torch.tensor(0.5)}, ["training.epochs=3", "training.ema=0.5"]),
    ],
)
def test_mappings_and_keywords_are_assignments(overrides, options, texts):
    assert assignments(overrides, options) == texts


def test_a_config_takes_them_with_their_types(digits):
    config = as_config(
        digits,
        assignments({"loss": {"kl": {"weight": 1e-5}}}, {"optimizer": {"lr": 1e-7}, "name": "no", "clip_norm": None}),
    )
    assert [term.name for term in config.loss] == ["reconstruction", "kl"]
    assert (config.loss[1].weight, config.training.optimizer.lr, config.name) == (1e-5, 1e-7, "no")
    part = as_config(digits, assignments((), {"encoder": {"name": "cnn"}}))
    assert part.encoder.name == "cnn"
    assert as_config(digits, assignments((), {"encoder": part.encoder})) == part


@pytest.mark.parametrize(
    ("overrides", "options", "message"),
    [
        ((), {"epoch": 5}, "'epoch' is no option of a config, nor of its training; did you mean 'epochs'?"),
        ((), {"latnt": 5}, "latnt"),
        ((), {"epochs": math.nan}, "training.epochs: takes numbers, texts, lists and mappings of them, not nan"),
        ((), {"epochs": torch.zeros(2)}, r"not tensor\(\[0., 0.\]\) \(Tensor\)"),
        ((), {"data": {"path": object}}, r"data.path: takes numbers.*\(type\)"),
        ("seed=1", {}, r"overrides are a list or a mapping, not the text 'seed=1': write \['seed=1'\]"),
        ([3], {}, "an override is a text such as 'training.epochs=5', not 3"),
    ],
)
def test_what_is_no_option_is_named(digits, overrides, options, message):
    with pytest.raises(ConfigError, match=message):
        as_config(digits, assignments(overrides, options))


@pytest.mark.usefixtures("bare")
def test_a_run_and_its_resumption_take_keywords_and_mappings(tmp_path):
    values = {**PARTS, "data": {"name": "digits", "keep": ("0", "1")}}
    run = genkit.run(values, {"training.batch_size": 256}, tmp_path / "run", epochs=1, decoder={"hidden": [5]})
    assert (run.config.training.epochs, run.config.training.batch_size, run.config.decoder.hidden) == (1, 256, (5,))
    longer = genkit.resume(tmp_path / "run", optimizer={"lr": 1e-5}, epochs=2)
    assert (longer.config.training.epochs, longer.config.training.optimizer.lr) == (2, 1e-5)


def test_a_model_is_built_from_plain_values():
    model = genkit.build(PARTS, (1, 8, 8), sampler={"latent": 3})
    assert model.sampler.latent_shape == (3,)


def test_paths_in_a_config_of_python_are_texts(tmp_path):
    config = as_config({**PARTS, "data": {"name": "arrays", "path": tmp_path / "x.npy"}})
    assert config.data.path == str(tmp_path / "x.npy")
