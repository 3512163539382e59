"""Updates of parameters: those of the classes of torch.optim, to the last bit where torch has one way of doing them."""

import copy

import pytest
import torch
from torch import nn

from genkit.settings.optimizers import OPTIMIZERS, SGD, Adam, AdamW
from genkit.speed import updater
from genkit.speed.updater import Updater

CASES = {
    "adam": (torch.optim.Adam, {"betas": (0.5, 0.75), "eps": 1e-3}),
    "adamw": (torch.optim.AdamW, {"betas": (0.5, 0.75), "eps": 1e-3}),
    "adamax": (torch.optim.Adamax, {"betas": (0.5, 0.75), "eps": 1e-3}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.5, "eps": 1e-3, "momentum": 0.25}),
    "rmsprop without momentum": (torch.optim.RMSprop, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.25, "nesterov": True}),
    "sgd without momentum": (torch.optim.SGD, {}),
}
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def updaters(name, parameters, **changes):
    """One of ours and one of torch's, each with parameters of its own."""
    kind, options = CASES[name]
    options = {"lr": 0.01, "weight_decay": 0.1, **options, **changes}
    ours = Updater(OPTIMIZERS[name.split()[0]](**options), parameters)
    copies = [nn.Parameter(each.detach().clone()) for each in parameters]
    return ours, kind(copies, fused=True, **options) if FUSED[kind] else kind(copies, **options)


FUSED = {kind: kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD) for kind, _ in CASES.values()}


def fitted(device="cpu"):
    torch.manual_seed(0)
    image = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    return [nn.Parameter(each.to(device)) for each in (torch.randn(7, 5), torch.randn(7), image)]


def give(optimizer, step, without=()):
    """Gradients of a step, in the layout of the parameters."""
    for index, parameter in enumerate(optimizer.param_groups[0]["params"]):
        gradient = torch.sin(parameter.detach() * (step + 1))
        parameter.grad = None if index in without else gradient


def assert_same(ours, theirs):
    for one, other in zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_the_steps_are_those_of_torch_and_so_is_the_state(name, device):
    ours, theirs = updaters(name, fitted(device))
    for step in range(12):
        for optimizer in (ours, theirs):
            give(optimizer, step, without=[1] if step in (3, 7) else [])
            optimizer.step()
        assert_same(ours, theirs)
    for index, state in theirs.state_dict()["state"].items():
        kept = ours.state_dict()["state"][index]
        assert {key for key, value in state.items() if value is not None} - {"step"} == kept.keys() - {"step"}
        assert all(torch.equal(value, state[key]) for key, value in kept.items() if key in state)
    assert ours.param_groups[0].items() >= {"lr": 0.01, "weight_decay": 0.1}.items()


@pytest.mark.parametrize("source", ["ours", "torch's"])
@pytest.mark.parametrize("name", CASES)
def test_a_state_is_taken_over_from_ours_and_from_torch(name, source):
    ours, theirs = updaters(name, fitted())
    for step in range(5):
        for optimizer in (ours, theirs):
            give(optimizer, step)
            optimizer.step()
    other, _ = updaters(name, ours.param_groups[0]["params"])
    other.load_state_dict(copy.deepcopy((ours if source == "ours" else theirs).state_dict()))
    for step in range(5, 9):
        for optimizer in (other, theirs):
            give(optimizer, step)
            optimizer.step()
    assert_same(other, theirs)


def test_a_parameter_that_a_state_lacks_starts_anew():
    ours, _ = updaters("adam", fitted())
    give(ours, 0)
    ours.step()
    state = ours.state_dict()
    del state["state"][1]
    other, _ = updaters("adam", fitted())
    give(other, 0)
    other.step()
    other.load_state_dict(copy.deepcopy(state))
    counts = [float(each["step"]) for each in other.state_dict()["state"].values()]
    assert counts == [1, 0, 1]


@pytest.mark.parametrize("config", [Adam(), AdamW()], ids=["adam", "adamw"])
def test_without_the_kernel_the_steps_are_those_of_torch(config, monkeypatch):
    monkeypatch.setattr(updater, "_kernels", dict)
    ours, theirs = Updater(config, fitted()), CASES[config.name][0](fitted(), lr=1e-3, weight_decay=0.0)
    for step in range(5):
        for optimizer in (ours, theirs):
            give(optimizer, step)
            optimizer.step()
    assert_same(ours, theirs)


@pytest.mark.parametrize("types", [(torch.float32, torch.float64), (torch.float64,), (torch.complex64,)], ids=str)
def test_parameters_of_any_type_are_updated(types):
    parameters = [nn.Parameter(torch.ones(3, dtype=dtype)) for dtype in types]
    optimizer = Updater(Adam(lr=0.5), parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert all(
        torch.allclose(parameter.abs(), torch.full((3,), 0.5, dtype=parameter.abs().dtype)) for parameter in parameters
    )


def test_a_gradient_of_another_layout_is_brought_into_that_of_its_parameter():
    ours, theirs = updaters("adam", fitted())
    for optimizer in (ours, theirs):
        give(optimizer, 0)
    ours.param_groups[0]["params"][2].grad = theirs.param_groups[0]["params"][2].grad.contiguous()
    for optimizer in (ours, theirs):
        optimizer.step()
    assert_same(ours, theirs)


def test_no_gradient_is_no_step():
    (parameter,) = parameters = [nn.Parameter(torch.ones(3))]
    Updater(Adam(), parameters).step()
    assert parameter.tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("finite", [True, False])
def test_a_scaler_leaves_steps_out_whose_gradients_are_not_finite(name, finite):
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    pair = updaters(name, fitted())
    for step in range(3):
        for optimizer in pair:
            give(optimizer, step)
            for parameter in optimizer.param_groups[0]["params"]:
                parameter.grad *= 4
            if step == 1 and not finite:
                optimizer.param_groups[0]["params"][0].grad[0, 0] = torch.inf
            scaler.scale(torch.ones(()))
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
        scaler.update(4.0)
    ours, theirs = pair
    assert_same(ours, theirs)
    assert all(each.isfinite().all() for each in ours.param_groups[0]["params"])


@pytest.mark.parametrize("end", [0.5, 0])
def test_a_learning_rate_on_a_ramp_starts_where_the_ramp_starts(end):
    config = SGD.model_validate({"name": "sgd", "lr": {"from": 0.25, "to": end, "epochs": 2}})
    assert Updater(config, fitted()).param_groups[0]["lr"] == 0.25


def test_a_step_is_the_one_that_its_formula_says():
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = Updater(SGD(lr=0.1, weight_decay=0.5), (each for each in [parameter]))
    parameter.grad = torch.tensor([2.0, 4.0])
    optimizer.step()
    assert parameter.tolist() == pytest.approx([1 - 0.1 * (2 + 0.5 * 1), -2 - 0.1 * (4 + 0.5 * -2)])


def test_every_optimizer_is_tested_here():
    assert {name.split()[0] for name in CASES} == set(OPTIMIZERS)
    assert {type(OPTIMIZERS[name]()) for name in OPTIMIZERS} == set(updater.UPDATES)
