"""Graphs on fewer threads while other work has cores: the same numbers, or the usual threads."""

import pytest
import torch
from torch import nn

from genkit.parallel.cores import computing_on
from genkit.speed import adapting, graph
from genkit.speed.adapting import Adapting

X = torch.arange(4.0)


@pytest.fixture
def spare(monkeypatch):
    """`spare(count)` says how many cores other work leaves, None at first; the process computes on two threads."""
    left = [None]
    monkeypatch.setattr(adapting, "spare_cores", lambda: left[0])
    monkeypatch.setattr(adapting, "TRIES", 2)
    with computing_on(2):
        yield lambda count: left.__setitem__(0, count)


class Noisy:
    """A graph that draws, counts in its state, and sees on how many threads it computes."""

    def __init__(self, threads_matter=False):
        self.threads_matter, self.seen = threads_matter, []

    def __call__(self, count, x):
        self.seen.append(torch.get_num_threads())
        count += 1
        noise = torch.randn_like(x) + count
        return [noise * torch.get_num_threads() if self.threads_matter else noise, None]


def outcomes(run, spares, spare):
    """What calls give, one for each number of cores that are left; the state and the generator at the end."""
    torch.manual_seed(0)
    count = torch.zeros(())
    adapted, values = Adapting(run, [count]), []
    for each in spares:
        spare(each)
        values.append(adapted(X)[0])
    return [*values, count, torch.get_rng_state()]


def test_numbers_that_do_not_go_by_threads_are_computed_on_those_that_have_cores(spare):
    busy, quiet = Noisy(), Noisy()
    crowded = outcomes(busy, [None, 1, 1, 2, 1], spare)
    plain = outcomes(quiet, [None] * 5, spare)
    assert all(map(torch.equal, crowded, plain))
    assert quiet.seen == [2] * 5
    assert busy.seen == [2, *(1, 2), *(1, 2), 2, 1]  # tried twice on both
    assert torch.get_num_threads() == 2


def test_numbers_that_go_by_threads_stay_on_the_usual_ones(spare):
    busy, quiet = Noisy(threads_matter=True), Noisy(threads_matter=True)
    crowded = outcomes(busy, [1, 1, 1], spare)
    assert all(map(torch.equal, crowded, outcomes(quiet, [None] * 3, spare)))
    assert busy.seen == [*(1, 2), 2, 2]


def test_each_number_of_threads_is_tried(spare):
    with computing_on(3):
        run = Noisy()
        outcomes(run, [2, 2, 2, 1, 1, 2], spare)
    assert run.seen == [*(2, 3), *(2, 3), 2, *(1, 3), *(1, 3), 2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on tracing
def test_a_compiled_graph_of_a_model_adapts_and_gives_what_it_gave(spare):
    def gradients(model, fitted, x):
        value = model(x).square().mean()
        return {"model": torch.autograd.grad(value, fitted["model"])}, {"value": value.detach()}

    def trained(spares):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 64))
        fitted, x = {"model": list(model.parameters())}, torch.randn(256, 64)
        step = graph.compiled_graph(gradients, model, fitted, [x], {"fallback_random": True, "cpp.threads": 1})
        given = []
        for each in spares:
            spare(each)
            values, figures = step([x])
            given += [*values["model"], figures["value"], *(buffer.clone() for buffer in model.buffers())]
        return given

    assert all(map(torch.equal, trained([None] * 8), trained([None, 1, 1, None, 1, 1, 1, 1])))
