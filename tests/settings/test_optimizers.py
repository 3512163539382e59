"""Optimizers by name: their options reach torch, and what is wrong with them is said."""

import copy

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from genkit.settings.base import Settings
from genkit.settings.optimizers import FUSED, OPTIMIZERS, SGD, Adam, Optimizer, RMSprop

OPTIONS = {
    "adam": (torch.optim.Adam, {"betas": (0.5, 0.75), "eps": 1e-3}),
    "adamw": (torch.optim.AdamW, {"betas": (0.5, 0.75), "eps": 1e-3}),
    "adamax": (torch.optim.Adamax, {"betas": (0.5, 0.75), "eps": 1e-3}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.5, "eps": 1e-3, "momentum": 0.25}),
    "sgd": (torch.optim.SGD, {"momentum": 0.25, "nesterov": True}),
}


class Training(Settings):
    optimizer: Optimizer = Adam()


def chosen(value):
    return Training.model_validate({"optimizer": value}).optimizer


def weight():
    return nn.Parameter(torch.tensor([1.0, -2.0]))


def test_every_optimizer_is_tested_here():
    assert set(OPTIONS) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIONS)
def test_name_and_options_reach_torch(name):
    kind, options = OPTIONS[name]
    parameter = weight()
    built = chosen({"name": name, "lr": 0.125, "weight_decay": 0.5, **options}).build([parameter])
    (group,) = built.param_groups
    assert isinstance(built, kind)
    assert group["params"] == [parameter]
    assert {key: group[key] for key in ("lr", "weight_decay", *options)} == {
        "lr": 0.125,
        "weight_decay": 0.5,
        **options,
    }


@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_are_not_given_are_those_of_torch(name):
    kind, _ = OPTIONS[name]
    ours, theirs = chosen(name).build([weight()]), kind([weight()], lr=1e-3)
    # ours decays by 0 for all, torch's AdamW does not; ours is fused where that is known, which is the same update
    varying = {"params", "weight_decay", "fused"}
    assert {k: v for k, v in ours.param_groups[0].items() if k not in varying} == {
        k: v for k, v in theirs.param_groups[0].items() if k not in varying
    }
    assert ours.param_groups[0]["weight_decay"] == 0.0


@pytest.mark.parametrize("name", sorted(FUSED))
def test_the_fused_form_takes_the_same_steps(name):
    kind, options = OPTIONS[name]
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 50)) for _ in range(2))
    built = chosen({"name": name, "lr": 0.01, "weight_decay": 0.1, **options}).build([ours])
    plain = kind([theirs], lr=0.01, weight_decay=0.1, foreach=False, **options)
    for step in range(20):
        for parameter, optimizer in ((ours, built), (theirs, plain)):
            parameter.grad = torch.sin(parameter.detach() * (step + 1)) if step != 15 else None
            optimizer.step()
        if step == 10:  # as a checkpoint does
            kept = copy.deepcopy(built.state_dict())
            built = chosen({"name": name, "lr": 0.01, "weight_decay": 0.1, **options}).build([ours])
            built.load_state_dict(kept)
    assert built.param_groups[0]["fused"]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIONS)
def test_lists_will_do_for_betas_and_the_dump_can_be_read_again(name):
    _, options = OPTIONS[name]
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    made = Training.model_validate({"optimizer": {"name": name, **plain}})
    dumped = made.model_dump(mode="json", by_alias=True)
    assert dumped["optimizer"].items() >= plain.items()
    assert Training.model_validate(dumped) == made


@pytest.mark.parametrize(
    "ramp", [{"from": 0.25, "to": 0.5, "epochs": 2}, {"from": 0.25, "to": 0, "epochs": 1}], ids=str
)
def test_learning_rate_on_a_ramp_starts_where_the_ramp_starts(ramp):
    assert chosen({"name": "sgd", "lr": ramp}).build([weight()]).param_groups[0]["lr"] == 0.25


def test_parameters_may_come_from_a_generator():
    model = nn.Linear(2, 3)
    assert len(Adam().build(model.parameters()).param_groups[0]["params"]) == 2


def test_step_is_the_one_that_its_formula_says():
    parameter = weight()
    optimizer = SGD(lr=0.1, weight_decay=0.5).build([parameter])
    parameter.grad = torch.tensor([2.0, 4.0])
    optimizer.step()
    assert parameter.tolist() == pytest.approx([1 - 0.1 * (2 + 0.5 * 1), -2 - 0.1 * (4 + 0.5 * -2)])


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
