import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import jsonschema
import pytest
from ruamel.yaml import YAML

from genkit.errors import ConfigError, GenkitError
from genkit.interfaces import KINDS
from genkit.registry.reference import reference
from genkit.registry.registry import Plugin, installed, registry
from genkit.registry.schema import options, parts, schema
from genkit.runs.opening import as_config

EXAMPLES = Path(__file__).parents[2] / "examples"
WHOLE = {
    "data": {"name": "digits", "size": 16, "validation": 0.2, "test": 100},
    "encoder": {"name": "cnn", "layers": [{"channels": 8, "kernel": 3}]},
    "sampler": "gaussian",
    "decoder": {"name": "mlp", "hidden": [8]},
    "likelihood": {"name": "gaussian", "scale": "learned"},
    "loss": ["reconstruction", {"name": "kl", "weight": {"from": 0, "to": 1, "epochs": 2}}],
    "training": {"epochs": 1, "optimizer": {"lr": 0.1}, "compile": False},
    "plugins": ["-acme"],
}
BROKEN = {
    "seed": [1.5, -1, "1", True],
    "sed": [1],
    "data": [
        7,
        "digit",
        {"size": 16},
        {"name": "digits", "size": 4},
        {"name": "digits", "validation": 1.5},
        {"name": "digits", "sise": 16},
    ],
    "encoder": ["cn", {"name": "mlp", "hidden": 8}, {"name": "mlp", "hidden": [0]}, {"name": "mlp", "kernel": 3}],
    "sampler": [None, {"name": "gaussian", "latent": 0}, ["gaussian"]],
    "likelihood": [{"nam": "bernoulli"}, {"name": "gaussian", "scale": -1}, {"name": "gaussian", "scale": 0}],
    "plugins": [["a", "-b"], [3]],
    "loss": [[], "klm", [{"name": "kl", "weight": "1"}], [{"name": "kl", "weight": {"from": 0, "to": 1}}], [[]]],
    "training": [
        {"epochs": 0},
        {"epochs": "1"},
        {"optimizer": "adm"},
        {"optimizer": {"name": "sgd", "betas": [0.9, 0.99]}},
        {"optimizer": {"betas": [0.9, 1.5]}},
        {"device": "gpu"},
        {"compile": "yes"},
        {"compile": 1},
        {"precision": "half"},
    ],
    "name": ["a/b", ""],
}


@pytest.fixture(scope="module")
def valid():
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(made))).is_valid


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_valid_as_written_and_as_resolved(valid, path):
    assert valid(YAML(typ="safe").load(path))
    assert valid(as_config(path).resolved())
    assert "# yaml-language-server: $schema=genkit.schema.json\n" in path.read_text()


def test_a_config_with_every_kind_of_value_is_valid(valid):
    assert valid(WHOLE)
    assert as_config(WHOLE)


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in BROKEN.items() for value in values], ids=str
)
def test_what_a_config_refuses_the_schema_refuses(valid, key, value):
    broken = {**copy.deepcopy(WHOLE), key: value}
    with pytest.raises(ConfigError):
        as_config(broken)
    assert not valid(broken)


@pytest.mark.parametrize("key", ["data", "sampler", "decoder", "likelihood", "loss"])
def test_what_a_config_needs_the_schema_needs(valid, key):
    assert not valid({name: value for name, value in WHOLE.items() if name != key})


def test_every_component_is_described():
    made = schema()
    for kind in KINDS:
        for name in installed().names(kind):
            definition = made["$defs"][f"{kind}.{name}"]
            assert definition["title"] == f"{kind} {name}"
            assert len(definition["description"]) > 10
            assert definition["properties"]["name"]["enum"] == [name, f"genkit-torch/{name}"]
            assert options(kind, name)["properties"].keys() == definition["properties"].keys()


def test_a_component_of_this_process_is_in_it_at_once(valid, variant):
    from genkit_mlp import MLPEncoder

    name = variant(MLPEncoder)
    assert not valid({**WHOLE, "encoder": name})
    assert jsonschema.Draft202012Validator(schema()).is_valid({**WHOLE, "encoder": {"name": name, "hidden": [3]}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoder", "genkit-torch/mlp"),
        ("encoder", {"name": "genkit-torch/mlp", "hidden": [3]}),
        ("data", {"name": "digits", "validation": 0, "test": 20}),
        ("plugins", "haar"),
        ("plugins", ["haar", "tide"]),
        ("plugins", ["all", "-haar"]),
        ("training", {"compile": "auto"}),
    ],
)
def test_what_a_config_takes_the_schema_takes(valid, key, value):
    written = {**WHOLE, key: value}
    assert as_config(written)
    assert valid(written)


def test_a_name_of_two_plugins_is_in_the_schema_under_both_qualified_names(monkeypatch):
    from genkit_mlp import MLPEncoder

    installed()
    found, made = registry(), []
    monkeypatch.setattr(found, "_claims", {key: list(claims) for key, claims in found._claims.items()})
    monkeypatch.setattr(found, "plugins", list(found.plugins))
    for distribution in ("one", "two"):
        settings = {"__annotations__": {"name": Literal["twin"]}, "name": "twin"}
        config_class = type("Config", (MLPEncoder.Config,), settings)
        made.append(type("Twin", (MLPEncoder,), {"Config": config_class}))
        found._claim(made[-1], Plugin("twin", distribution, "1.0"))
    is_valid = jsonschema.Draft202012Validator(schema()).is_valid
    assert is_valid({**WHOLE, "encoder": {"name": "one/twin", "hidden": [3]}})
    assert is_valid({**WHOLE, "encoder": "two/twin"})
    assert not is_valid({**WHOLE, "encoder": "twin"})
    assert "encoder/two/twin" in reference()


def test_an_option_that_json_knows_nothing_of_may_be_anything(variant, monkeypatch):
    from genkit_mlp import MLPEncoder

    class Config(MLPEncoder.Config):
        callback: Callable[[int], int] = abs

    monkeypatch.setattr(MLPEncoder, "Config", Config)
    name = variant(MLPEncoder)
    assert "callback" in options("encoder", name)["properties"]
    assert jsonschema.Draft202012Validator(schema()).is_valid({**WHOLE, "encoder": {"name": name, "hidden": [3]}})


def test_the_schema_beside_the_examples_is_current():
    assert json.loads((EXAMPLES / "genkit.schema.json").read_text(encoding="utf-8")) == schema(), (
        "make it anew: GENKIT_PLUGINS=none genkit schema --out examples/genkit.schema.json"
    )


@pytest.mark.parametrize("reference", ["mlp", "encoders/mlp", "", "/mlp"])
def test_what_is_no_part_is_refused(reference):
    with pytest.raises(GenkitError, match="is no part; write KIND/NAME with one of the kinds data, encoder"):
        parts(reference)
