"""The fingerprint of a data set: a hash by which a later use sees that the data are those of the run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from genkit.interfaces import Split

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


def _form(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"


def _blocks(tensor: Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor (N, ...), some rows at a time."""
    rows = max(1, BLOCK * len(tensor) // max(1, tensor.numel() * tensor.element_size()))
    for start in range(0, len(tensor), rows):
        block = tensor[start : start + rows].detach().cpu().contiguous().flatten()
        yield block.view(torch.uint8).numpy().data
