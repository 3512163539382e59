import pytest
import torch
from torch import nn

from genkit import compilation
from genkit.compilation import Compiled, plan
from genkit.errors import ConfigError

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
    monkeypatch.setattr(compilation, "_compiler", lambda: None)
    assert plan("auto", DENSE, CPU, 10**6, 10**6) == (False, "there is no C++ compiler")
    assert plan("auto", DENSE, CUDA, 10**6, 10**6).compiled
    with pytest.raises(ConfigError, match=r"training.compile: needs a C\+\+ compiler .* use auto or false"):
        plan(True, DENSE, CPU, 1, 1)


def test_the_compiler_is_the_one_of_the_environment(monkeypatch, tmp_path):
    made = tmp_path / "my-compiler"
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    monkeypatch.setenv("CXX", str(made))
    assert compilation._compiler() == str(made)
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compilation._compiler() is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("traceable", [True, False])
def test_gradients_are_taken_in_one_graph_or_in_pieces(traceable):
    weight = torch.tensor([1.0, -2.0], requires_grad=True)

    def function(x):
        noise = torch.randn(2)
        if not traceable:
            torch._dynamo.graph_break()
        return torch.autograd.grad((weight * x + noise).exp().sum(), weight), noise

    compiled = Compiled(function)
    for seed in (0, 1):
        torch.manual_seed(seed)
        (gradient,), noise = compiled(torch.tensor([0.5, 0.25]))
        torch.manual_seed(seed)
        assert torch.equal(noise, torch.randn(2))
        x = torch.tensor([0.5, 0.25])
        torch.testing.assert_close(gradient, x * (weight.detach() * x + noise).exp())
    assert compiled.traceable is traceable
