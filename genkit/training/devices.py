"""Devices and precisions: what `training.device` and `training.precision` mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from genkit.errors import ConfigError
from genkit.model.model import Model
from genkit.parallel.group import local_rank


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU where there is one."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, is_available in available.items() if is_available)
    if not available[name]:
        raise ConfigError(f"training.device: '{name}' is not available on this machine; use auto or cpu")
    return torch.device(name, local_rank()) if name == "cuda" else torch.device(name)


AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@contextlib.contextmanager
def computing_in(precision: str, model: Model) -> Iterator[None]:
    """Let the networks of a model compute in a `training.precision` inside the block."""
    if precision == "float32":
        yield
        return
    before = torch.get_float32_matmul_precision() if precision == "tf32" else None
    if before is not None:
        torch.set_float32_matmul_precision("high")
    model.autocast = AUTOCAST.get(precision)
    try:
        yield
    finally:
        model.autocast = None
        if before is not None:
            torch.set_float32_matmul_precision(before)


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse TensorFloat-32 on a device without it; raises ConfigError."""
    if precision == "tf32" and device.type != "cuda":
        raise ConfigError(
            f"training.precision: tf32 is of NVIDIA GPUs, and this run is on '{device.type}'; use bfloat16"
        )
