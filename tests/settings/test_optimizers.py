"""Optimizers by name: what each keeps, and what is wrong with their options is said."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from genkit.settings.base import Settings
from genkit.settings.optimizers import OPTIMIZERS, Adam, Optimizer, RMSprop

OPTIONS = {
    "adam": {"betas": (0.5, 0.75), "eps": 1e-3},
    "adamw": {"betas": (0.5, 0.75), "eps": 1e-3},
    "adamax": {"betas": (0.5, 0.75), "eps": 1e-3},
    "rmsprop": {"alpha": 0.5, "eps": 1e-3, "momentum": 0.25},
    "sgd": {"momentum": 0.25, "nesterov": True},
}


TORCH = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


class Training(Settings):
    optimizer: Optimizer = Adam()


def chosen(value):
    return Training.model_validate({"optimizer": value}).optimizer


def test_every_optimizer_is_tested_here():
    assert set(OPTIONS) == set(OPTIMIZERS)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("adam", 2),
        ("adamw", 2),
        ("adamax", 2),
        ("rmsprop", 1),
        ({"name": "rmsprop", "momentum": 0.5}, 2),
        ("sgd", 0),
        ({"name": "sgd", "momentum": 0.5}, 1),
    ],
    ids=str,
)
def test_an_optimizer_keeps_as_many_tensors_of_a_parameter_as_torch_does(value, count):
    config = chosen(value)
    parameter = nn.Parameter(torch.ones(3, 2))
    theirs = TORCH[config.name]([parameter], lr=config.lr, **config.model_dump(exclude={"name", "lr"}))
    parameter.grad = torch.ones(3, 2)
    theirs.step()
    kept = {name for name, tensor in theirs.state[parameter].items() if tensor is not None and tensor.shape == (3, 2)}
    assert set(config.moments) == kept
    assert len(config.moments) == count


@pytest.mark.parametrize("name", OPTIONS)
def test_lists_will_do_for_betas_and_the_dump_can_be_read_again(name):
    options = OPTIONS[name]
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    made = Training.model_validate({"optimizer": {"name": name, **plain}})
    dumped = made.model_dump(mode="json", by_alias=True)
    assert dumped["optimizer"].items() >= plain.items()
    assert Training.model_validate(dumped) == made


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Adam", "unknown optimizer 'Adam'; did you mean 'adam'?"),
        ("rmspropp", "unknown optimizer 'rmspropp'; did you mean 'rmsprop'?"),
        ("lion", "unknown optimizer 'lion'; known: adam, adamax, adamw, rmsprop, sgd"),
    ],
)
def test_unknown_optimizer_suggests_the_nearest_or_lists_all(name, message):
    with pytest.raises(ValidationError) as caught:
        chosen(name)
    assert [error["msg"] for error in caught.value.errors()] == [message]


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("adam", "momentum", "unknown key 'momentum'; known: betas, eps, lr, name, weight_decay"),
        ("sgd", "betas", "unknown key 'betas'; known: lr, momentum, name, nesterov, weight_decay"),
        ("rmsprop", "alpa", "unknown key 'alpa'; did you mean 'alpha'?"),
    ],
)
def test_option_of_another_optimizer_is_unknown(name, key, message):
    with pytest.raises(ValidationError) as caught:
        chosen({"name": name, key: 1})
    assert [(error["loc"], error["msg"]) for error in caught.value.errors()] == [(("optimizer", key), message)]


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("adam", "lr", "0.1"),
        ("adam", "lr", True),
        ("adam", "weight_decay", -0.1),
        ("adam", "eps", 0),
        ("adam", "betas", 0.9),
        ("rmsprop", "alpha", 0),
        ("rmsprop", "momentum", -1),
        ("sgd", "nesterov", 1),
    ],
)
def test_value_that_cannot_be_is_refused_at_its_key(name, key, value):
    with pytest.raises(ValidationError) as caught:
        chosen({"name": name, key: value})
    assert [error["loc"] for error in caught.value.errors()] == [("optimizer", key)]


def test_optimizer_made_in_python_keeps_its_options():
    assert chosen(RMSprop(alpha=0.5)) == RMSprop(alpha=0.5)
    assert chosen(Adam(betas=(0.1, 0.2))).betas == (0.1, 0.2)
