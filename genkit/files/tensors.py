"""Tensors in safetensors files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genkit.errors import WeightsError
from genkit.files import atomic


def fill(model: torch.nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Copy tensors into a model with exactly these names and shapes; raises WeightsError as `check_fit` does."""
    check_fit(model, tensors, source)
    model.load_state_dict(tensors)


def check_fit(model: torch.nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Refuse tensors with other names or shapes than those of a model; raises WeightsError."""
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    present = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != present:
        names = sorted(name for name in expected.keys() | present.keys() if expected.get(name) != present.get(name))
        first = f"{names[0]}: the model has {expected.get(names[0], 'none')}, the file {present.get(names[0], 'none')}"
        raise WeightsError(f"{source}: {len(names)} tensors do not fit the model that the config describes ({first})")


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all; a tensor with two names is written under both."""
    separate = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    with atomic.replacing(path) as temporary:
        save_file(separate, temporary, metadata={"format": "pt", **metadata})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and metadata of a safetensors file; raises WeightsError where it is missing or damaged."""
    with opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


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
