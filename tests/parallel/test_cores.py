"""What other work takes of the cores, from what Linux counts."""

import time

import pytest
import torch

from genkit.parallel import cores
from genkit.parallel.cores import Usage, free, usable

LINES = """cpu  999 0 0 0 0 0 0 0 0 0
cpu0 {user} 20 30 4000 500 6 7 8 0 0
cpu1 100 0 0 9 9 0 0 0 0 0
cpu77 99999 0 0 0 0 0 0 0 0 0
intr 5
"""


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """`counted(user)`: the usage where core 0 has computed so many hundredths for users."""
    monkeypatch.setattr(cores, "STATISTICS", tmp_path / "stat")
    monkeypatch.setattr(cores, "usable", lambda: {0, 1})
    monkeypatch.setattr(cores.os, "sysconf", lambda name: 100)

    def count(user):
        (tmp_path / "stat").write_text(LINES.format(user=user))
        return Usage.now()

    return count


def test_waiting_for_disks_is_no_work_and_other_cores_are_not_counted(counted):
    assert counted(10).everything == pytest.approx((10 + 20 + 30 + 6 + 7 + 8 + 100) / 100)


def test_others_take_what_this_process_does_not(counted):
    start, end = counted(0), counted(300)
    since = start._replace(clock=end.clock - 2.0, own=end.own - 1.0)
    assert end.others_since(since) == pytest.approx((3.0 - 1.0) / 2.0)
    assert end.others_since(since._replace(own=end.own - 9.0)) == 0.0
    assert counted(9999).others_since(since) == 2.0


def test_too_short_a_time_tells_nothing(counted):
    start = counted(0)
    assert counted(3)._replace(clock=start.clock + 0.05).others_since(start) is None


def test_another_system_tells_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(cores, "STATISTICS", tmp_path / "none")
    assert Usage.now() is None


@pytest.mark.skipif(not cores.STATISTICS.is_file(), reason="only Linux counts")
def test_what_this_process_computes_is_its_own():
    start = Usage.now()
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    now = Usage.now()
    assert now.own - start.own == pytest.approx(0.2, abs=0.05)
    assert now.everything - start.everything > 0.1
    assert 0 <= now.others_since(start) <= len(usable())


def test_what_is_free_is_at_least_one_thread_and_at_most_those_of_torch(monkeypatch):
    monkeypatch.setattr(cores, "usable", lambda: set(range(8)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    assert [free(others) for others in (None, 0.0, 2.4, 2.6, 6.0, 8.0)] == [6, 6, 6, 5, 2, 1]
