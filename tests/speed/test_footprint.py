"""How much memory work takes: against what the tensors are known to hold."""

import torch
from torch.utils import _python_dispatch

from genkit.speed.footprint import watching


def test_the_most_bytes_at_one_time_are_counted_and_what_is_gone_is_not():
    with watching("") as footprint:
        one = torch.ones(1000)
        two = one + 1
        del one
        three = two * 2
        del two
    assert three is not None
    assert footprint.peak == 2 * 4000
    assert footprint.bytes == 4000


def test_views_and_work_in_place_take_nothing_and_meta_tensors_count_in_full():
    with watching("") as footprint:
        x = torch.empty(2**20, 2**20, device="meta")
        x.view(-1)[3:].add_(1)
    assert footprint.peak == 4 * 2**40


def test_a_backward_pass_is_counted_too():
    weight = torch.ones(100, 100, requires_grad=True)
    with watching("") as footprint:
        (gradient,) = torch.autograd.grad((torch.ones(7, 100) @ weight).square().sum(), weight)
    assert gradient.shape == (100, 100)
    least = 4 * (100 * 100 + 7 * 100)
    assert least <= footprint.peak < 2 * least


def test_where_torch_does_not_let_its_calls_be_watched_the_work_is_done_without(monkeypatch, said):
    monkeypatch.delattr(_python_dispatch, "TorchDispatchMode")
    with watching("nothing is counted") as footprint:
        assert torch.ones(3).sum() == 3
    assert footprint is None
    assert said() == ["TorchDispatchMode: nothing is counted"]
