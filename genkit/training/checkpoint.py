"""What a resumed run needs beside its config: the weights, the optimizer's state, and how many epochs are done.

Random states are not among it: each epoch makes its own from the run's seed (`training.seed_everything`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from genkit.errors import WeightsError
from genkit.files.tensors import fill, read_tensors, write_tensors
from genkit.speed.layout import like
from genkit.training.trainer import Trainer

KEY = "genkit-checkpoint"


def save(path: Path, trainer: Trainer, epoch: int) -> None:
    """Write the state after `epoch` epochs, whole or not at all."""
    tensors: dict[str, Any] = {f"model.{name}": tensor for name, tensor in trainer.model.state_dict().items()}
    plain: dict[str, Any] = {}
    for owner, optimizer in trainer.optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                kind = tensors if isinstance(value, Tensor) else plain
                kind[f"optimizer/{owner}/{index}/{name}"] = value
    scaler = None if trainer.scaler is None else trainer.scaler.state_dict()
    header = {"epoch": epoch, "optimizer": plain, "scaler": scaler}
    write_tensors(path, tensors, {KEY: json.dumps(header)})


def restore(path: Path, trainer: Trainer) -> int:
    """Bring a trainer into the state that `save` wrote; returns the number of epochs done.

    Raises:
        WeightsError: the checkpoint is damaged, or does not fit the model.
    """
    tensors, metadata = read_tensors(path)
    header = _header(path, metadata)
    model = {name.removeprefix("model."): tensors.pop(name) for name in list(tensors) if name.startswith("model.")}
    fill(trainer.model, model, path)
    states: dict[str, dict[int, dict[str, Any]]] = {owner: {} for owner in trainer.optimizers}
    for key, value in {**tensors, **header["optimizer"]}.items():
        _, owner, index, name = key.split("/")
        states[owner].setdefault(int(index), {})[name] = value
    for owner, optimizer in trainer.optimizers.items():
        groups = optimizer.state_dict()["param_groups"]
        laid_out = {
            index: {name: _laid_out(value, parameter) for name, value in states[owner].get(index, {}).items()}
            for index, parameter in enumerate(trainer.fitted[owner])
        }
        optimizer.load_state_dict({"state": laid_out, "param_groups": groups})
    if trainer.scaler is not None and header.get("scaler"):
        trainer.scaler.load_state_dict(header["scaler"])
    return int(header["epoch"])


def _laid_out(value: Any, parameter: Tensor) -> Any:
    """A moment of a parameter in its layout: the file does not know of layouts."""
    return like(value, parameter) if isinstance(value, Tensor) and value.shape == parameter.shape else value


def epochs_done(path: Path) -> int:
    """The number of epochs after which a checkpoint was written; 0 where there is none."""
    return int(_header(path, read_tensors(path)[1])["epoch"]) if path.is_file() else 0


def _header(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    if KEY not in metadata:
        raise WeightsError(f"{path}: is no checkpoint: its metadata hold no '{KEY}'")
    header: dict[str, Any] = json.loads(metadata[KEY])
    return header
