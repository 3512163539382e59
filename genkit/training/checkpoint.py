"""Checkpoints: the weights, the optimizers' states and the number of epochs done, from which a run is resumed.

They hold no random state: each epoch has its own, from the run's seed (`genkit.training.seeds`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from genkit.errors import WeightsError
from genkit.files.tensors import check_fit, read_tensors, write_tensors
from genkit.training.trainer import Trainer

KEY = "genkit-checkpoint"


def save(path: Path, trainer: Trainer, epoch: int) -> None:
    """Write the state after `epoch` epochs; the file is replaced whole or not at all."""
    state = trainer.state_dict()
    values = {f"model.{name}": tensor for name, tensor in state["model"].items()}
    for owner, indices in state["optimizers"].items():
        values |= {
            f"optimizer/{owner}/{i}/{name}": value for i, each in indices.items() for name, value in each.items()
        }
    for owner, each in state["states"].items():
        values |= {f"state/{owner}/{name}": value for name, value in each.items()}
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    plain = {name: value for name, value in values.items() if name not in tensors}
    write_tensors(path, tensors, {KEY: json.dumps({"epoch": epoch, "plain": plain, "scaler": state["scaler"]})})


def restore(path: Path, trainer: Trainer) -> int:
    """Restore a trainer's state from a file of `save`; returns the number of epochs done.

    Raises:
        WeightsError: the checkpoint is damaged, or does not fit the model.
    """
    tensors, metadata = read_tensors(path)
    header = _header(path, metadata)
    model = {name.removeprefix("model."): tensors.pop(name) for name in list(tensors) if name.startswith("model.")}
    check_fit(trainer.model, model, path)
    state: dict[str, Any] = {"model": model, "optimizers": {}, "scaler": header.get("scaler"), "states": {}}
    for key, value in {**tensors, **header.get("plain", header.get("optimizer", {}))}.items():
        kind, owner, rest = key.split("/", 2)
        if kind == "state":
            state["states"].setdefault(owner, {})[rest] = value
        else:
            index, _, name = rest.partition("/")
            state["optimizers"].setdefault(owner, {}).setdefault(int(index), {})[name] = value
    trainer.load_state_dict(state)
    return int(header["epoch"])


def epochs_done(path: Path) -> int:
    """The number of epochs done at a checkpoint; 0 where there is no checkpoint."""
    return int(_header(path, read_tensors(path)[1])["epoch"]) if path.is_file() else 0


def _header(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    if KEY not in metadata:
        raise WeightsError(f"{path}: is no checkpoint: its metadata hold no '{KEY}'")
    header: dict[str, Any] = json.loads(metadata[KEY])
    return header
