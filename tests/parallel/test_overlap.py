"""Large gradients are summed over the processes during the pass, small ones after it; each once."""

import pytest
import torch
from torch import nn

from genkit.parallel import overlap
from genkit.parallel.overlap import Overlap


class Message:
    """A sum over two equal processes that is there when it is waited for."""

    def __init__(self, values, events):
        self.values, self.events = values, events

    def wait(self):
        self.values.mul_(2)
        self.events.append("waited")


@pytest.fixture
def events(monkeypatch):
    """What is asked of the group of two processes, in its order."""
    seen = []

    def all_reduce(values, async_op):
        assert async_op
        seen.append(("begun", tuple(values.shape)))
        return Message(values, seen)

    def add_up(tensors):
        summands = [tensor for tensor in tensors if tensor is not None]
        seen.append(("one sum", [tuple(tensor.shape) for tensor in summands]))
        for tensor in summands:
            tensor.mul_(2)

    monkeypatch.setattr(overlap, "count", lambda: 2)
    monkeypatch.setattr(overlap, "add_up", add_up)
    monkeypatch.setattr(overlap.dist, "all_reduce", all_reduce)
    monkeypatch.setattr(overlap, "LARGE", 12)
    return seen


def test_large_gradients_begin_in_the_pass_and_the_others_are_one_sum(events):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5)), torch.randn(6, 3)
    unused = nn.Parameter(torch.zeros(20))
    parameters = [*model.parameters(), unused]
    expected = torch.autograd.grad(model(x).square().sum(), parameters, allow_unused=True)
    with Overlap({"model": parameters}) as sums:
        gradients = torch.autograd.grad(model(x).square().sum(), parameters, allow_unused=True)
    assert events == [("begun", (5, 4)), ("begun", (4, 3))]  # the last layer's first
    whole = sums.added_up({"model": gradients})["model"]
    assert events[2:] == [("one sum", [(4,), (5,)]), "waited", "waited"]
    assert whole[-1] is None
    for one, two in zip(expected[:-1], whole, strict=False):
        assert torch.equal(two, 2 * one)
    torch.autograd.grad(model(x).square().sum(), parameters, allow_unused=True)
    assert len(events) == 5  # nothing begins after the block


def test_each_step_has_its_own_sums(events):
    weight = nn.Parameter(torch.ones(20))
    sums = Overlap({"model": [weight]})
    for factor in (1.0, 5.0):
        with sums:
            gradients = torch.autograd.grad((factor * weight).sum(), [weight])
        (whole,) = sums.added_up({"model": gradients})["model"]
        assert torch.equal(whole, torch.full((20,), 2 * factor))
    with sums:
        pass
    assert sums.added_up({"model": [None]}) == {"model": [None]}


def test_a_gradient_that_autograd_gives_to_two_is_summed_for_each(events):
    one, two = nn.Parameter(torch.ones(20)), nn.Parameter(torch.ones(20))
    with Overlap({"a": [one], "b": [two]}) as sums:
        of_one, of_two = torch.autograd.grad(((one + two) * 3).sum(), [one, two])
    whole = sums.added_up({"a": [of_one], "b": [of_two]})
    assert torch.equal(whole["a"][0], torch.full((20,), 6.0))
    assert torch.equal(whole["b"][0], torch.full((20,), 6.0))


def test_owners_that_are_left_out_are_one_sum(events):
    weight = nn.Parameter(torch.ones(20))
    with Overlap({}) as sums:
        gradients = torch.autograd.grad(weight.sum(), [weight])
    assert torch.equal(sums.added_up({"model": gradients})["model"][0], torch.full((20,), 2.0))
    assert events == [("one sum", [(20,)])]


def test_alone_nothing_is_begun(events, monkeypatch):
    monkeypatch.setattr(overlap, "count", lambda: 1)
    weight = nn.Parameter(torch.ones(20))
    with Overlap({"model": [weight]}):
        torch.autograd.grad(weight.sum(), [weight])
    assert events == []


def test_a_pass_that_fails_leaves_no_hook(events):
    weight = nn.Parameter(torch.ones(20))
    with pytest.raises(RuntimeError), Overlap({"model": [weight]}):
        raise RuntimeError
    torch.autograd.grad(weight.sum(), [weight])
    assert events == []
