"""Threads wait shortly while other work has cores, and compute the same numbers."""

import threading
import time
from pathlib import Path

import pytest
import torch

from genkit.parallel.cores import Usage
from genkit.speed import crowding
from genkit.speed.crowding import CROWDED, FREE, Team, waiting_by_load

CPU = torch.device("cpu")
TASKS = Path("/proc/self/task")
linux = pytest.mark.skipif(not TASKS.is_dir(), reason="only Linux lists the threads of a process")


def _begun(thread_name="genkit-team"):
    return any(thread.name == thread_name for thread in threading.enumerate())


def _becomes(condition, seconds=20.0):
    """Whether a condition comes true in some time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def load(monkeypatch, two_threads):
    """`load(others)` sets how many cores other work takes, on a machine with two."""
    taken = [0.0]
    monkeypatch.setattr(crowding, "SECONDS", 0.01)
    monkeypatch.setattr(crowding, "usable", lambda: {0, 1})
    monkeypatch.setattr(crowding.sys, "platform", "linux")
    monkeypatch.delenv(crowding.POLICY, raising=False)
    monkeypatch.setattr(Usage, "now", classmethod(lambda cls: cls(0.0, 0.0, 0.0)))
    monkeypatch.setattr(Usage, "others_since", lambda self, earlier: taken[0])
    return lambda others: taken.__setitem__(0, others)


@linux
def test_a_team_has_threads_of_its_own_and_leaves_none(two_threads):
    torch.zeros(1 << 20)
    before, team = len(list(TASKS.iterdir())), Team()
    team.start()
    assert team.exists
    assert _becomes(lambda: len(list(TASKS.iterdir())) >= before + 2)
    team.start()
    team.end()
    assert not team.exists
    assert _becomes(lambda: len(list(TASKS.iterdir())) <= before)
    team.end()


def test_a_team_changes_no_number(two_threads):
    x = torch.randn(300, 500, generator=torch.Generator().manual_seed(0))
    plain, team = ((x @ x.T).softmax(1).sum(), x.sum()), Team()
    team.start()
    crowded = (x @ x.T).softmax(1).sum(), x.sum()
    team.end()
    assert plain == crowded


def test_the_load_makes_and_ends_a_team(load):
    with waiting_by_load(CPU):
        assert not _becomes(_begun, 0.1)
        load(CROWDED)
        assert _becomes(_begun)
        load((CROWDED + FREE) / 2)
        time.sleep(0.1)
        assert _begun()
        load(0.0)
        assert _becomes(lambda: not _begun())
        load(2.0)
        assert _becomes(_begun)
    assert not _begun()
    assert not _begun("genkit-load")


def test_threads_are_put_together_by_the_load_and_let_go_at_the_end(load, monkeypatch):
    seen = []

    class Seen(crowding.Gathering):
        def look(self, others):
            seen.append(others)

        def end(self):
            seen.append("end")

    monkeypatch.setattr(crowding, "Gathering", Seen)
    with waiting_by_load(CPU):
        assert _becomes(lambda: 0.0 in seen)
        load(1.5)
        assert _becomes(lambda: 1.5 in seen)
        assert "end" not in seen
    assert seen[-1] == "end"


@pytest.mark.parametrize("why", ["policy", "one thread", "another system", "fewer threads than cores", "a GPU"])
def test_nothing_is_watched_where_it_does_not_help(load, monkeypatch, why):
    load(2.0)
    if why == "policy":
        monkeypatch.setenv(crowding.POLICY, "active")
    if why == "one thread":
        torch.set_num_threads(1)
    if why == "another system":
        monkeypatch.setattr(crowding.sys, "platform", "darwin")
    if why == "fewer threads than cores":
        monkeypatch.setattr(crowding, "usable", lambda: set(range(8)))
    with waiting_by_load(torch.device("cuda") if why == "a GPU" else CPU):
        assert not _begun("genkit-load")


def test_a_system_that_counts_nothing_is_left_alone(load, monkeypatch):
    monkeypatch.setattr(Usage, "now", classmethod(lambda cls: None))
    with waiting_by_load(CPU):
        assert _becomes(lambda: not _begun("genkit-load"))
