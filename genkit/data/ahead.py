"""Reading ahead: what is needed next is read by other threads while the present is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 2
"""The number of threads that read."""
AHEAD = 4
"""The number of results that are read before they are used; they are in memory meanwhile."""


def read_ahead(items: Iterable[Item], read: Callable[[Item], Result]) -> Iterator[tuple[Item, Result]]:
    """Items with what `read` gives for each, in order; up to `AHEAD` of them are read in other threads meanwhile.

    An error of `read` is raised where its result is due.
    """
    pending: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="genkit-reader") as pool:
        try:
            for item in items:
                pending.append((item, pool.submit(read, item)))
                if len(pending) > AHEAD:
                    first, result = pending.popleft()
                    yield first, result.result()
            while pending:
                first, result = pending.popleft()
                yield first, result.result()
        finally:
            for _, result in pending:
                result.cancel()
