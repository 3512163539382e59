"""Threads of a team share cores while other work has the rest, and compute the same numbers."""

import os
import threading
import time
from pathlib import Path

import pytest
import torch

from genkit.speed import gathering
from genkit.speed.gathering import BOUND, Gathering, Task, per_core, tasks

linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux lists the threads of a process")


@pytest.mark.parametrize(
    ("cores", "others", "expected"),
    [(2, 0.0, 1), (2, 0.6, 1), (2, 0.8, 2), (2, 2.0, 2), (1, 1.0, 1), (16, 1.0, 1), (16, 8.0, 2), (16, 16.0, 16)],
)
def test_as_many_threads_share_a_core_as_other_work_leaves_them(cores, others, expected):
    assert per_core(cores, others) == expected


@linux
def test_the_threads_of_a_process_are_told_with_their_time_and_core():
    own = threading.get_native_id()
    before, start = tasks()[own], time.thread_time()
    while time.thread_time() < start + 0.1:
        pass
    after = tasks()[own]
    ticks = os.sysconf("SC_CLK_TCK")
    assert after.ticks - before.ticks == pytest.approx(0.1 * ticks, abs=3)
    assert after.core in os.sched_getaffinity(0)


@pytest.fixture
def machine(monkeypatch):
    """Four cores, on which this thread, those of numbers 1 to 3, and a slower one run; where they were bound to."""
    own, bound, ticks = threading.get_native_id(), {}, {"now": 0}
    for name in BOUND:
        monkeypatch.delenv(name, raising=False)

    def found():
        ticks["now"] += 10
        team = {tid: Task(ticks["now"], core) for core, tid in enumerate((own, -1, -2, -3))}
        return {**team, -9: Task(ticks["now"] // 10, 2), -10: Task(7, 2)}

    monkeypatch.setattr(gathering, "usable", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(gathering, "tasks", found)
    monkeypatch.setattr(os, "sched_setaffinity", lambda tid, cores: bound.__setitem__(tid, cores), raising=False)
    return own, bound


def test_the_first_of_each_group_stays_free_and_the_others_follow_it(machine):
    own, bound = machine
    team = Gathering(4)
    team.look(2.0)
    assert bound == {}  # nobody knows yet which threads compute
    team.look(2.0)
    assert bound == {-3: {0}, -1: {2}}  # the team is this thread, -3, -2 and -1; -2 runs on core 2
    team.look(4.0)
    assert bound == {-3: {0}, -2: {0}, -1: {0}}
    team.look(2.0)
    assert bound == {-3: {0}, -2: {0, 1, 2, 3}, -1: {2}}
    team.look(0.0)
    assert set(map(frozenset, bound.values())) == {frozenset({0, 1, 2, 3})}
    assert own not in bound


@pytest.mark.parametrize("name", BOUND)
def test_threads_that_a_user_has_bound_stay_where_they_are(machine, monkeypatch, name):
    monkeypatch.setenv(name, "true")
    team = Gathering(4)
    for _ in range(3):
        team.look(4.0)
    assert machine[1] == {}


@pytest.mark.parametrize(("error", "calls"), [(ProcessLookupError, 4), (PermissionError, 2)])
def test_a_thread_that_has_ended_is_passed_over_and_what_is_forbidden_is_not_tried_again(
    machine, monkeypatch, error, calls
):
    asked = []

    def refuse(tid, cores):
        asked.append(tid)
        raise error

    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    team = Gathering(4)
    for _ in range(3):
        team.look(2.0)
    assert team.allowed == (error is ProcessLookupError)
    assert len(asked) >= calls
    team.end()


def _all_free(team):
    return all(os.sched_getaffinity(tid) == team.cores for tid in tasks())


@linux
def test_real_threads_are_put_together_and_compute_the_same_numbers():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        x = torch.randn(400, 700, generator=torch.Generator().manual_seed(0))
        team, plain = Gathering(2), ((x @ x.T).softmax(1).sum(), x.sum())
        end = time.monotonic() + 20
        while not team.followers and time.monotonic() < end and len(team.cores) > 1:
            pause = time.monotonic() + 0.1
            while time.monotonic() < pause:
                together = (x @ x.T).softmax(1).sum(), x.sum()
            team.look(float(len(team.cores) - 1))
        assert len(team.followers) == min(1, len(team.cores) - 1)
        assert all(len(os.sched_getaffinity(tid)) == 1 for tid in team.followers)
        together = (x @ x.T).softmax(1).sum(), x.sum()
        assert together == plain
        team.end()
        assert _all_free(team)
    finally:
        torch.set_num_threads(before)
