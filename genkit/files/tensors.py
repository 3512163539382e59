"""Tensors in safetensors files, with a digest of all that a file holds.

safetensors finds a file that was cut short; the digest finds a bit that was flipped.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genkit.errors import RunError, WeightsError
from genkit.files import atomic

DIGEST = "sha256"
"""The key of the digest in the metadata; older files have none."""
MARK = "digest"
"""A second key, which says that there is a digest: no single damage takes away both."""


def fill(model: torch.nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Copy tensors into a model that has exactly these; raises WeightsError as `check_fit` does."""
    check_fit(model.state_dict(), tensors, source)
    model.load_state_dict(tensors)


def check_fit(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: Path) -> None:
    """Refuse tensors with other names, shapes or types of numbers than those expected; raises WeightsError."""
    wanted, present = forms(expected), forms(tensors)
    names = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if names:
        first = f"{names[0]}: the model has {wanted.get(names[0], 'none')}, the file {present.get(names[0], 'none')}"
        raise WeightsError(f"{source}: {len(names)} tensors do not fit the model that the config describes ({first})")


def forms(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The type and the shape of each tensor, such as `float32 (64, 784)`."""
    return {name: f"{str(each.dtype).removeprefix('torch.')} {tuple(each.shape)}" for name, each in tensors.items()}


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all; a tensor with two names is written under both.

    Raises:
        RunError: the file cannot be written; the old file at `path` is still there.
    """
    separate = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    metadata = {"format": "pt", **metadata, MARK: DIGEST}
    metadata[DIGEST] = digest(separate, metadata)
    with atomic.replacing(path) as temporary:
        try:
            save_file(separate, temporary, metadata=metadata)
        except SafetensorError as error:
            raise RunError(f"cannot write {path}: {error}; choose a place that can be written") from error


def digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """The SHA-256 of tensors, their names, types and shapes, and of metadata without their own digest."""
    total = hashlib.sha256()
    for key in sorted(metadata.keys() - {DIGEST}):
        total.update(f"{len(key)} {key} {len(metadata[key])} {metadata[key]}".encode())
    form_of = forms(tensors)
    for name in sorted(tensors):
        total.update(f"{len(name)} {name} {form_of[name]}".encode())
        total.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and metadata of a safetensors file.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    with opened(path) as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    if metadata.keys() & {DIGEST, MARK} and digest(tensors, metadata) != metadata.get(DIGEST):
        raise WeightsError(f"{path}: is damaged: its SHA-256 is not that of its content; copy or make it again")
    return tensors, metadata


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file, open to read; raises WeightsError where it is missing or damaged."""
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        message = f"{path}: is no readable safetensors file, or was cut short ({error}); copy or make it again"
        raise WeightsError(message) from None
