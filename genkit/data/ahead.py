"""Reading ahead: what is needed next is read by other threads while the present is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from genkit.parallel.cores import usable

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 4
"""The largest number of threads that read."""
AHEAD = 4
"""The number of results that are read before they are used; they are in memory meanwhile."""


def threads() -> int:
    """The number of threads that read: one for every four cores, as all of them compute as well; 1 to 4."""
    return min(MOST, max(1, len(usable()) // 4))


def read_ahead(items: Iterable[Item], read: Callable[[Item], Result]) -> Iterator[tuple[Item, Result]]:
    """Items with what `read` gives for each, in order; up to `AHEAD` of them are read in other threads meanwhile.

    An error of `read` is raised where its result is due.
    """
    pending: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(threads(), thread_name_prefix="genkit-reader") as pool:
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
