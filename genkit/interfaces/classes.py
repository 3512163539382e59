"""Classes as a user names them, and their indices in labels.

N data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from genkit.errors import DataError

LISTED = 20
"""The number of classes that a message lists."""


def class_indices(
    wanted: Iterable[int | str], classes: Sequence[str] | None, labels: Tensor, where: str = "labels"
) -> list[int]:
    """The indices of classes that are named by their names, or, where these are no numbers, by their indices.

    Args:
        wanted: the classes, such as `normal`, `7` or "7".
        classes: the names of the labels; None: they have numbers only, which are their names.
        labels: the labels (N,).
        where: what names the classes, for messages.

    Raises:
        DataError: there is no such class; with those that there are.
    """
    names = list(classes or map(str, range(int(labels.max()) + 1 if len(labels) else 0)))
    by_name = {name: index for index, name in enumerate(names)}
    if not any(name.lstrip("-").isdecimal() for name in names):
        by_name |= {str(index): index for index in range(len(names))}
    absent = [each for each in map(str, wanted) if each not in by_name]
    if absent:
        more = f", and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
        raise DataError(f"{where}: there is no class '{absent[0]}'; there are {', '.join(names[:LISTED])}{more}")
    return [by_name[str(each)] for each in wanted]
