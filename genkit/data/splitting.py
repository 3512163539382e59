"""Splits: which data are trained on and which are held out, in a way that can be repeated.

N data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from genkit.data.shuffling import window_of
from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Split
from genkit.interfaces.classes import class_indices


def divided(
    raw: RawData, config: DataSource.Config, where: str
) -> tuple[Split, Split | None, Split | None, dict[str, Tensor]]:
    """The three splits, those that the source lacks from a seeded permutation, and their rows in the source.

    With `keep`, the permutation is that of the data of the kept classes, and the others follow those of the test split.

    Raises:
        DataError: they leave no data to train on, or there is no such class.
    """
    total = len(raw.train.x)
    own = torch.arange(total)
    kept = _of_classes(raw.train.labels, _wanted(raw, config, where)) if config.keep else None
    if kept is not None:
        own = own[kept]
    n_test = 0 if raw.test is not None else _count(config.test, len(own))
    n_validation = 0 if raw.validation is not None else _count(config.validation, len(own))
    if n_test + n_validation >= len(own):
        what = f"{total} data" if kept is None else f"{len(own)} data of the classes to keep"
        raise DataError(
            f"{where}: {n_validation} for validation and {n_test} for test leave none of {what} to train on; "
            "lower data.validation or data.test"
        )
    if n_test + n_validation == 0 and kept is None:
        return raw.train, raw.validation, raw.test, {"train": own}
    order = own[torch.from_numpy(np.random.default_rng(config.split_seed).permutation(len(own)))]
    test = order[:n_test]
    if kept is not None and raw.test is None:
        test = torch.cat([test, torch.arange(total)[~kept]])
    ends = {"test": test, "validation": order[n_test : n_test + n_validation]}
    rows = {name: index for name, index in ends.items() if len(index)}
    if window_of(raw.train.x, None) < total:  # those that are read are near each other
        rows = {name: index.sort().values for name, index in rows.items()}
    rows["train"] = order[n_test + n_validation :].sort().values
    held_out, drawn, train = (_take(raw.train, rows.get(name, order[:0])) for name in ("test", "validation", "train"))
    assert train is not None
    return train, raw.validation or drawn, raw.test or held_out, rows


def of_kept_classes(raw: RawData, config: DataSource.Config, where: str) -> RawData:
    """The data with those of the classes to keep alone in the source's own validation split, and with a note.

    Raises:
        DataError: there is no such class, or none of its data.
    """
    if not config.keep:
        return raw
    others = int((~_of_classes(raw.train.labels, _wanted(raw, config, where))).sum())
    to = "held out for the test" if raw.test is None else "left out, as the source has a test split of its own"
    note = f"trained on the classes {', '.join(map(str, config.keep))}; {others:,} data of other classes are {to}"
    raw = raw._replace(notes=(*raw.notes, note))
    if raw.validation is None:
        return raw
    kept = _of_classes(raw.validation.labels, _wanted(raw, config, where)).nonzero().flatten()
    if not len(kept):
        raise DataError(f"{where}: data.keep leaves no data in the source's own validation split; keep more classes")
    ids = dict(raw.ids)
    if ids.get("validation"):
        ids["validation"] = tuple(ids["validation"][row] for row in kept.tolist())
    return raw._replace(validation=raw.validation.rows(kept), ids=ids)


def _wanted(raw: RawData, config: DataSource.Config, where: str) -> list[int]:
    """The indices of the classes to keep; raises DataError where there are no labels, or no such class."""
    if raw.train.labels is None or (raw.validation is not None and raw.validation.labels is None):
        raise DataError(f"{where}: data.keep names classes, and the data have no labels; say where the labels are")
    return class_indices(config.keep, raw.classes, raw.train.labels, f"{where}: data.keep")


def _of_classes(labels: Tensor | None, wanted: Sequence[int]) -> Tensor:
    """Whether each datum (N,) is of one of these classes."""
    assert labels is not None
    return torch.isin(labels, torch.tensor(wanted, dtype=labels.dtype, device=labels.device))


def _count(share: float, total: int) -> int:
    return int(share) if share >= 1 else round(share * total)


def _take(split: Split, index: Tensor) -> Split | None:
    return split.rows(index) if len(index) else None
