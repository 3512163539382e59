"""The fingerprint of a data set: a hash by which a later use sees that the data are those of the run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch

from genkit.data.extent import blocks
from genkit.interfaces import Split
from genkit.interfaces.reader import Data

BLOCK = 2**24
"""About the number of bytes that are hashed at once: memory does not grow with the data."""


def fingerprint(splits: Mapping[str, Split]) -> str:
    """The SHA-256 (hexadecimal) of splits: names, types, shapes and values of data and side data, in order.

    Other values, more data, another order and another split each give another fingerprint; the device does not.
    """
    digest = hashlib.sha256()
    for name, split in splits.items():
        for role, tensor in (("x", split.x), ("labels", split.labels), *sorted(split.side.items())):
            digest.update(f"{name} {role} {_form(tensor)}\n".encode())
            for block in () if tensor is None else _blocks(tensor):
                digest.update(block)
    return digest.hexdigest()


def _form(tensor: Data | None) -> str:
    return "none" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"


def _blocks(tensor: Data) -> Iterator[memoryview]:
    """The bytes of a tensor (N, ...), some rows at a time."""
    for part in blocks(tensor, BLOCK):
        yield part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
