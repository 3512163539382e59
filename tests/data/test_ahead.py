from __future__ import annotations

import threading

import pytest

from genkit.data.ahead import AHEAD, read_ahead


def test_results_come_in_order_with_their_items():
    assert list(read_ahead(range(20), lambda item: item**2)) == [(item, item**2) for item in range(20)]
    assert list(read_ahead([], lambda item: item)) == []


def test_what_comes_next_is_read_by_other_threads_before_it_is_used():
    read, started = set(), threading.Semaphore(0)

    def note(item):
        read.add((item, threading.current_thread().name))
        started.release()
        return item

    results = read_ahead(range(100), note)
    assert next(results) == (0, 0)
    for _ in range(AHEAD + 1):
        assert started.acquire(timeout=10)
    assert {item for item, _ in read} == set(range(AHEAD + 1))
    assert all(name.startswith("genkit-reader") for _, name in read)
    results.close()
    assert not any(thread.name.startswith("genkit-reader") for thread in threading.enumerate())


def test_an_error_comes_where_its_result_is_due():
    def read(item):
        if item == 3:
            raise OSError("gone")
        return item

    results = read_ahead(range(10), read)
    assert [next(results)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        next(results)
