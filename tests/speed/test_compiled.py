import warnings
from functools import partial

import pytest
import torch
from torch import nn

from genkit.errors import ConfigError, GenkitError, GenkitWarning
from genkit.speed import compiled
from genkit.speed.compiled import Compiled, plan

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
DENSE, RECURRENT = nn.Linear(2, 2), nn.Sequential(nn.GRU(2, 2))


def test_auto_compiles_a_long_run_and_not_a_short_one():
    short, long = (plan("auto", DENSE, CPU, steps, 78_400) for steps in (600, 30_000))
    assert not short.compiled
    assert short.reason == "600 steps of 78,400 values save about 0.5 s, and compiling takes about 15 s"
    assert long.compiled
    assert long.reason == "30,000 steps of 78,400 values save about 23.7 s, and compiling takes about 15 s"


def test_more_values_a_step_make_fewer_steps_enough():
    assert not plan("auto", DENSE, CPU, 5_000, 78_400).compiled
    assert plan("auto", DENSE, CPU, 5_000, 802_816).compiled


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_auto_leaves_recurrent_layers_as_they_are(device):
    made = plan("auto", RECURRENT, device, 10**6, 10**5)
    assert not made.compiled
    assert "either way" in made.reason


@pytest.mark.parametrize("wanted", [True, False])
def test_a_wish_is_followed_whatever_the_work(wanted):
    assert plan(wanted, RECURRENT, CPU, 1, 1).compiled is wanted


def test_without_a_compiler_auto_says_so_and_a_wish_is_refused(monkeypatch):
    monkeypatch.setattr(compiled, "_compiler", lambda: None)
    assert plan("auto", DENSE, CPU, 10**6, 10**6) == (False, "there is no C++ compiler")
    assert plan("auto", DENSE, CUDA, 10**6, 10**6).compiled
    with pytest.raises(ConfigError, match=r"training.compile: needs a C\+\+ compiler .* use auto or false"):
        plan(True, DENSE, CPU, 1, 1)


def test_the_compiler_is_the_one_of_the_environment(monkeypatch, tmp_path):
    made = tmp_path / "my-compiler"
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    monkeypatch.setenv("CXX", str(made))
    assert compiled._compiler() == str(made)
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiled._compiler() is None


class Drawn(nn.Module):
    """Some parameters, a buffer that it counts in, and Python that may do what no graph holds."""

    def __init__(self, way):
        super().__init__()
        self.way, self.calls = way, 0
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        self.register_buffer("steps", torch.zeros(()))
        self.loose = torch.tensor(1.0)

    def forward(self, x):
        self.steps.add_(1)
        noise = torch.randn(2)
        if self.way == "counts":
            self.calls += 1
            noise = noise * self.calls
        if self.way == "chooses" and x.sum() > 1:
            noise = -noise
        if self.way == "loose":
            noise = noise * self.loose
        return (self.weight * x + noise).exp().sum(), noise


REASONS = {
    "counts": "in pieces: each pass changes calls, an attribute that is no tensor; that takes longer than one graph",
    "chooses": "in pieces: GuardOnDataDependentSymNode",
    "loose": "in pieces: ",
}


def slopes(model, fitted, x, weights, scale=None):
    value, noise = model(x)
    if scale is not None:
        value = value * scale
    return {name: torch.autograd.grad(value * weights, each) for name, each in fitted.items()}, {"noise": noise}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # torch's own
@pytest.mark.parametrize("way", ["traces", "counts", "chooses", "loose"])
def test_gradients_and_random_numbers_are_those_of_the_eager_function_at_every_step(way):
    eager, model = Drawn(way), Drawn(way)
    compiled = Compiled(slopes, model, {"all": [model.weight]}, kind=lambda x, *_: x.shape)
    for seed, x in enumerate(([0.5, 0.25], [2.0, 1.0], [0.1, 0.1])):
        for scale in (None, torch.tensor(4.0)) if way == "traces" and seed == 2 else (None,):
            if scale is not None:
                compiled.graphs.clear()
            found = []
            expected_warnings = 1 if way != "traces" and seed == 0 else 0
            for each in (partial(slopes, eager, {"all": [eager.weight]}), compiled):
                torch.manual_seed(seed)
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", GenkitWarning)
                    found.append(each(torch.tensor(x), torch.tensor(0.5), scale))
            messages = [str(each.message) for each in caught if each.category is GenkitWarning]
            assert len(messages) == expected_warnings
            assert all(REASONS[way] in message for message in messages)
            (expected, figures), (gradients, others) = found
            torch.testing.assert_close(list(gradients["all"]), list(expected["all"]))
            assert torch.equal(others["noise"], figures["noise"])
    assert (compiled.why_in_pieces is None) is (way == "traces")
    assert model.steps == eager.steps == (4 if way == "traces" else 3)
    assert model.calls == eager.calls


def test_recurrent_layers_are_left_to_pieces_and_the_plan_says_so():
    how = "in pieces: torch does not trace recurrent layers"
    assert Compiled(slopes, RECURRENT, {}, kind=lambda *_: None).how == how
    assert Compiled(slopes, DENSE, {}, kind=lambda *_: None).how == "one graph"
    assert plan(True, RECURRENT, CPU, 1, 1).reason == f"training.compile is true, {how}"


def test_several_processes_are_left_to_pieces_and_the_plan_says_so(monkeypatch):
    monkeypatch.setattr(compiled.group, "count", lambda: 2)
    assert Compiled(slopes, DENSE, {}, kind=lambda *_: None).how.startswith("in pieces: processes that share a batch")
    assert ", in pieces: processes" in plan("auto", DENSE, CPU, 30_000, 78_400).reason
    assert "in pieces" not in plan("auto", DENSE, CPU, 60, 78_400).reason


@pytest.mark.parametrize("error", [GenkitError("a part says no"), torch.OutOfMemoryError("full"), KeyboardInterrupt()])
def test_what_is_no_fault_of_tracing_is_raised(error):
    def fails(*_):
        raise error

    step = Compiled(fails, DENSE, {}, kind=lambda *_: None)
    with pytest.raises(type(error)):
        step(torch.ones(3, 2))
    assert step.how == "one graph"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on tracing
def test_compiling_leaves_no_option_of_torch_changed():
    before = torch._dynamo.config.trace_autograd_ops
    step = Compiled(slopes, model := Drawn("traces"), {"all": [model.weight]}, kind=lambda *_: None)
    step.why_in_pieces = "this is a test"
    step(torch.ones(2), torch.tensor(0.5))
    assert torch._dynamo.config.trace_autograd_ops is before is False
