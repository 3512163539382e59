"""The classes of new data, by the names that those of a model's training data have.

N data.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from genkit.interfaces import RawData, Schema, Side, Split
from genkit.text import encodable

LABELS = "labels"
NAMED = 5
"""The number of names that a doubt lists."""


def as_trained(raw: RawData, schema: Schema) -> RawData:
    """Data whose classes have the indices that a trained model has for their names.

    Where some of them are none of the model's, all of a name keep their own indices, and a doubt says so.

    Args:
        raw: the data, as a source gives them.
        schema: what the model was trained for.
    """
    for name, trained in schema.side.items():
        own = raw.classes if name == LABELS else raw.side.get(name, Side()).names
        if own is None or trained.names is None or _encoded(own) == trained.names:
            continue
        strange = [each for each in _occurring(raw, name, _encoded(own)) if each not in trained.names]
        if strange:
            raw = raw._replace(doubts=(*raw.doubts, _doubt(name, strange)))
        else:
            raw = _renumbered(raw, name, _encoded(own), trained)
    return raw


def differing(own: Mapping[str, Side], trained: Mapping[str, Side]) -> tuple[str, ...]:
    """The names of side data whose classes differ from those of a model's training data."""
    named = {name: side.names for name, side in trained.items() if side.names is not None}
    return tuple(name for name, names in named.items() if own.get(name, Side()).names not in (None, names))


def _encoded(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(encodable, names))


def _values(split: Split | None, name: str) -> Tensor | None:
    return None if split is None else split.named().get(name)


def _occurring(raw: RawData, name: str, names: tuple[str, ...]) -> list[str]:
    """The classes that some datum has."""
    tensors = [_values(split, name) for split in (raw.train, raw.test, raw.validation)]
    indices = {index for values in tensors if values is not None for index in values.unique().tolist()}
    return [each for index, each in enumerate(names) if index in indices]


def _doubt(name: str, strange: list[str]) -> str:
    listed = ", ".join(strange[:NAMED]) + (", ..." if len(strange) > NAMED else "")
    return f"the model was not trained on the classes {listed} of '{name}', so that those of the data are numbered anew"


def _renumbered(raw: RawData, name: str, own: tuple[str, ...], trained: Side) -> RawData:
    assert trained.names is not None
    places = {each: place for place, each in enumerate(trained.names)}
    indices = torch.tensor([places.get(each, 0) for each in own])

    def change(split: Split | None) -> Split | None:
        values = _values(split, name)
        if split is None or values is None:
            return split
        values = indices[values.cpu()]
        return split._replace(labels=values) if name == LABELS else split._replace(side={**split.side, name: values})

    train = change(raw.train)
    assert train is not None
    raw = raw._replace(train=train, test=change(raw.test), validation=change(raw.validation))
    if name == LABELS:
        return raw._replace(classes=trained.names)
    return raw._replace(side={**raw.side, name: trained})
