"""Checks of the readers of data sources: any rows, in any order and from several threads, are the same data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from genkit.interfaces import DataSource, Reader
from genkit.testing.check import promise
from genkit.testing.sources import splits_of
from genkit.testing.subject import NotApplicable, Subject, require

SOME = 64
"""The number of data that are read one by one."""


@promise(DataSource, after=("shapes",))
def readers(subject: Subject) -> None:
    """A reader gives the same data in any order, repeated, in parts, and to several threads at once."""
    some = [(name, split.x) for name, split in splits_of(subject) if isinstance(split.x, Reader)]
    if not some:
        raise NotApplicable("its data are in memory")
    for name, x in some:
        _check(x, f"the reader of the {name} split")


def _check(x: Reader, who: str) -> None:
    places = torch.linspace(0, len(x) - 1, min(SOME, len(x))).long()
    whole = x.read(places)
    shape = (len(places), *x.shape[1:])
    require(isinstance(whole, Tensor), f"{who} gives {type(whole).__name__}, and must give tensors")
    same_form = tuple(whole.shape) == shape and whole.dtype == x.dtype
    require(same_form, f"{who} gives {whole.dtype} {tuple(whole.shape)}, and says that it gives {x.dtype} {shape}")
    require(tuple(x.read(places[:0]).shape) == (0, *x.shape[1:]), f"{who} gives no empty tensor where no rows are read")
    require(
        torch.equal(x.read(places.flip(0)), whole.flip(0)), f"{who} gives other data where rows come in another order"
    )
    twice = x.read(torch.cat([places[:1], places[:1]]))
    require(torch.equal(twice, whole[[0, 0]]), f"{who} gives other data where a row comes twice")
    with ThreadPoolExecutor(4) as pool:
        parts = torch.cat(list(pool.map(x.read, places.split(1))))
    require(torch.equal(parts, whole), f"{who} gives other data where several threads read rows one by one")
    require(x.held >= 0, f"{who} takes {x.held} bytes of memory: it must be a number of bytes, 0 for files")
