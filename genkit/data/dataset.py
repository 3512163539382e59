"""The data set of a run: three splits, given in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genkit.data.extent import extent
from genkit.data.fingerprint import fingerprint
from genkit.data.places import Place, reads, rows, spans
from genkit.data.scaling import Scaling
from genkit.data.shuffling import shuffled
from genkit.data.signature import SPLITS as SPLITS
from genkit.data.signature import DataSignature as DataSignature
from genkit.data.signature import SideSignature
from genkit.data.steps import lengths_of
from genkit.data.transforming import Chain
from genkit.data.units import as_float as as_float
from genkit.errors import DataError
from genkit.interfaces import Column, Schema, Shape, Side, Split
from genkit.interfaces.component import MASK
from genkit.interfaces.reader import joined
from genkit.parallel.draws import rows_of, sharing
from genkit.text import encodable


class Batch(NamedTuple):
    """The data of one step."""

    x: Tensor
    """(B, *shape), as they are stored: uint8 is read as x / 255. Binarized and transformed data are float32."""
    total: int
    """The number of data of the batch in all processes; a process that works alone has all of them in x."""
    side: Mapping[str, Tensor] = MappingProxyType({})
    """The side data that were asked for, (B, ...) each."""


class Dataset(NamedTuple):
    """Checked data in three splits; an empty split is None."""

    train: Split
    """The data to train on."""
    validation: Split | None
    """Held-out data to look at during training; None: there are none."""
    test: Split | None
    """Held-out data to look at once, after training; None: there are none."""
    classes: tuple[str, ...] | None
    """The names of the labels; None: labels have numbers only, or there are none."""
    binarize: bool
    """Whether batches hold draws of 0 and 1 with the data as probabilities."""
    notes: tuple[str, ...] = ()
    """A line for each thing that is assumed about the data."""
    doubts: tuple[str, ...] = ()
    """A line for each thing about the data that may be a mistake, with the remedy."""
    scaling: Scaling | None = None
    """What standardized the data; None: nothing did."""
    rows: Mapping[str, Tensor] = MappingProxyType({})
    """The place (N,) of each datum in the source, by the names of the splits that were taken from its training data."""
    transforms: Chain = Chain()
    """The transforms that batches go through; the splits are in the data's own units."""
    side: Mapping[str, Side] = MappingProxyType({})
    """What the side data hold, by name, labels among them."""
    columns: tuple[Column, ...] = ()
    """The columns of a table; (): the data are no table."""
    ids: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """The names of the data of a split, one per datum, by the split's name; none where the source has none."""
    channels: tuple[str, ...] = ()
    """The names of the channels of series (T, F); (): they have none."""
    window: int | None = None
    """The number of training data that are shuffled together; None: as many as take 1 GiB."""
    device: torch.device = torch.device("cpu")
    """The device of the batches."""

    def __repr__(self) -> str:
        """The shape of a datum, the number of data in each split, and that of classes."""
        counts = [f"{name}={count}" for name, count in self.counts().items()]
        classes = [] if self.classes is None else [f"classes={len(self.classes)}"]
        return f"Dataset({', '.join([f'shape={self.shape}', *counts, *classes])})"

    @property
    def shape(self) -> Shape:
        """The shape of one datum."""
        return tuple(self.train.x.shape[1:])

    @property
    def schema(self) -> Schema:
        """What the parts of a model are built for."""
        schema = Schema(self.shape, self.side, len(self.train.x), self.columns, self.channels)
        if not schema.is_padded:
            return schema
        counts = torch.bincount(lengths_of(self.train.side[MASK]), minlength=self.shape[0] + 1)
        return schema._replace(lengths=tuple(counts.tolist()))

    def split(self, name: str) -> Split:
        """The split of that name, or all splits joined for `all`; raises DataError where it is empty."""
        if name == "all":
            splits = [split for split in (self.train, self.validation, self.test) if split is not None]
            labels = [split.labels for split in splits if split.labels is not None]
            whole = torch.cat(labels) if len(labels) == len(splits) else None
            side = {name: torch.cat([split.side[name] for split in splits]) for name in self.train.side}
            return Split(joined([split.x for split in splits]), whole, side)
        if name not in SPLITS:
            raise DataError(f"there is no split '{name}'; choose from {', '.join((*SPLITS, 'all'))}")
        split: Split | None = getattr(self, name)
        if split is None:
            raise DataError(f"the {name} split is empty; hold more data out for it, for example data.{name}=0.1")
        return split

    def rows_of(self, name: str) -> Tensor | None:
        """The places (N,) in the source of the data of `split(name)`; None: the source keeps that split apart."""
        names = list(self.splits()) if name == "all" else [name]
        rows = [self.rows[each] for each in names if each in self.rows]
        return torch.cat(rows) if len(rows) == len(names) else None

    def ids_of(self, name: str) -> tuple[str, ...] | None:
        """The names of the data of `split(name)`; None: they have none."""
        names = list(self.splits()) if name == "all" else [name]
        ids = [self.ids[each] for each in names if each in self.ids]
        return tuple(chain.from_iterable(ids)) if len(ids) == len(names) else None

    def to(self, device: torch.device) -> Dataset:
        """The same data on a device."""
        splits = [split and _moved(split, device) for split in (self.train, self.validation, self.test)]
        assert splits[0] is not None
        return self._replace(train=splits[0], validation=splits[1], test=splits[2], device=device)

    def order(self) -> Tensor:
        """A random order (N,) of the training data, drawn from torch's generator, on the device of the data."""
        order = shuffled(self.train.x, self.window)
        return order.to(self.device) if isinstance(self.train.x, Tensor) else order

    def batches(
        self,
        split: Split,
        size: int,
        order: Tensor | None = None,
        whole: bool = False,
        names: Sequence[str] = (),
    ) -> Iterator[Batch]:
        """Batches of a split, in order; the last one may have fewer data.

        Binarized data are drawn here, for the whole batch; transformed data become what the model is trained on.

        Args:
            split: a split of this data set.
            size: the number of data in a batch.
            order: the rows to take (N,), in this order; None: all rows in the order of the split.
            whole: whether each process gets all rows of a batch, not only its own.
            names: the side data to give.

        Raises:
            DataError: the split lacks side data.
        """
        side = side_data(split, names)
        places = self._places(len(split.x) if order is None else len(order), size, whole)
        for place, read in reads(split.x, places, order):
            x, own = read.to(self.device), place.own
            if len(self.transforms):
                with sharing(place.total):
                    x = self.transforms.applied(x)
            of_side = {name: rows(values, place.shifted(own), order) for name, values in side.items()}
            yield Batch(torch.bernoulli(as_float(x))[own] if self.binarize else x, place.total, of_side)

    def _places(self, count: int, size: int, whole: bool) -> Iterator[Place]:
        """The places of the batches of `count` data; binarized data are read whole, as they are drawn together."""
        for start, total in spans(count, size):
            own = slice(0, total) if whole else slice(*rows_of(total)[:2])
            yield Place(start, total, own, slice(0, total) if self.binarize else own)

    def untransformed(self) -> Dataset:
        """The same data in batches of their own units."""
        return self._replace(transforms=Chain())

    def splits(self) -> dict[str, Split]:
        """The splits that have data, by name."""
        splits = zip(SPLITS, (self.train, self.validation, self.test), strict=True)
        return {name: split for name, split in splits if split is not None}

    def counts(self) -> dict[str, int]:
        """The number of data in each split."""
        return {name: len(split.x) for name, split in self.splits().items()}

    def range(self) -> tuple[float, float]:
        """The least and the greatest value of the training data, in float32."""
        return extent(self.train.x)

    def fingerprint(self) -> str:
        """The fingerprint of the data in their splits, which takes a pass over all of them."""
        return fingerprint(self.splits())

    def signature(self, source: str) -> DataSignature:
        """The signature of the data, which a model keeps; its fingerprint takes a pass over all of them."""
        counts: Any = self.counts()
        return DataSignature(
            source=source,
            shape=self.shape,
            range=self.range(),
            classes=None if self.classes is None else tuple(map(encodable, self.classes)),
            counts=counts,
            fingerprint=self.fingerprint(),
            scaling=self.scaling,
            transforms=self.transforms.lasting,
            side={name: _signed(name, each) for name, each in self.side.items()},
            columns=self.columns,
            channels=tuple(map(encodable, self.channels)),
            lengths=self.schema.lengths,
            channels_first=False,
        )


def _moved(split: Split, device: torch.device) -> Split:
    """A split on a device; what is read is moved batch by batch."""
    side = {name: values.to(device) for name, values in split.side.items()}
    x = split.x.to(device) if isinstance(split.x, Tensor) else split.x
    return Split(x, None if split.labels is None else split.labels.to(device), side)


def _signed(name: str, side: Side) -> SideSignature:
    """What a model keeps of side data; the names of labels are the classes, which it has."""
    names = None if side.names is None or name == "labels" else tuple(map(encodable, side.names))
    return SideSignature(shape=side.shape, classes=side.classes, names=names)


def side_data(split: Split, names: Sequence[str]) -> dict[str, Tensor]:
    """Some of a split's side data; raises DataError where it lacks them."""
    if not names:
        return {}
    there = split.named()
    for name in names:
        if name not in there:
            has = f"they have {', '.join(there)}" if there else "they have none"
            raise DataError(
                f"the model reads '{name}' beside the data, which the data lack: {has}; add '{name}' to the data"
            )
    return {name: there[name] for name in names}
