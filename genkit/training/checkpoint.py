"""Checkpoints: the weights, the optimizers' states and the place in training, from which a run is resumed.

Between two epochs they hold no random state: each epoch has its own, from the run's seed (`genkit.training.seeds`). The
checkpoint before the newest is kept beside it, for the case that the newest is damaged.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genkit.errors import GenkitWarning, WeightsError, in_a_line
from genkit.files import strict_json
from genkit.files.atomic import PREFIX
from genkit.files.tensors import DIGEST, MARK, check_fit, read_tensors, write_tensors
from genkit.parallel import group
from genkit.training.trainer import Trainer

KEY = "genkit-checkpoint"
MODEL = "model."


class Checkpoint(NamedTuple):
    """The content of a checkpoint file."""

    path: Path
    tensors: dict[str, Tensor]
    header: dict[str, Any]
    metadata: dict[str, str]

    @property
    def epoch(self) -> int:
        """The number of whole epochs done."""
        return int(self.header["epoch"])

    @property
    def place(self) -> tuple[int, int]:
        """The numbers of whole epochs and of steps after them."""
        return self.epoch, int(self.plain.get("state/loop/step", 0))

    @property
    def plain(self) -> dict[str, Any]:
        """The values that are no tensors, by their names."""
        values: dict[str, Any] = self.header.get("plain", self.header.get("optimizer", {}))
        return values

    def state(self, name: str) -> dict[str, Any]:
        """The plain values of one of the trainer's further states; none where the checkpoint lacks it."""
        prefix = f"state/{name}/"
        return {key.removeprefix(prefix): each for key, each in self.plain.items() if key.startswith(prefix)}


def before(path: Path) -> Path:
    """The file of the checkpoint before the newest."""
    return path.with_stem(f"{path.stem}-before")


def save(path: Path, trainer: Trainer, epoch: int, metadata: Mapping[str, str] | None = None) -> None:
    """Write the state after `epoch` whole epochs; the file is replaced whole or not at all, and the old one kept.

    Args:
        path: the file.
        trainer: the trainer, whose state goes into the file.
        epoch: the number of whole epochs done.
        metadata: further metadata of the file.
    """
    state = trainer.state_dict()
    values = _flat(state)
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    plain = {name: value for name, value in values.items() if name not in tensors}
    header = {"epoch": epoch, "plain": plain, "scaler": state["scaler"]}
    _keep_before(path)
    write_tensors(path, tensors, {**(metadata or {}), KEY: strict_json.dumps(header)})


def replace(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write other tensors of the model into the newest checkpoint, whole or not at all; all else stays as it is.

    Raises:
        RunError: the file cannot be written.
        WeightsError: it cannot be read.
    """
    point = read(path)
    assert point is not None, "training ends with a checkpoint"
    metadata = {name: each for name, each in point.metadata.items() if name not in (DIGEST, MARK, "format")}
    _keep_before(path)
    write_tensors(path, point.tensors | {f"{MODEL}{name}": each for name, each in tensors.items()}, metadata)


def _keep_before(path: Path) -> None:
    """Give the newest checkpoint a second name, under which it stays; the first is there all the time."""
    spare = path.with_name(f"{PREFIX}{before(path).name}")  # what a killed process leaves of it is swept
    with contextlib.suppress(OSError):  # without links there is no checkpoint before the newest
        spare.unlink(missing_ok=True)
        os.link(path, spare)
        spare.replace(before(path))


def _flat(state: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trainer's state by names in a file, without the scaler's."""
    values = {f"{MODEL}{name}": tensor for name, tensor in state["model"].items()}
    for owner, indices in state["optimizers"].items():
        values |= {
            f"optimizer/{owner}/{i}/{name}": value for i, each in indices.items() for name, value in each.items()
        }
    for owner, each in state["states"].items():
        values |= {f"state/{owner}/{name}": value for name, value in each.items()}
    return values


def read(path: Path) -> Checkpoint | None:
    """The newest checkpoint that can be read; None: there is none. A damaged one is named in a GenkitWarning.

    Raises:
        WeightsError: no checkpoint can be read.
    """
    damage: WeightsError | None = None
    for each in (path, before(path)):
        if not each.is_file():
            continue
        try:
            checkpoint = _read(each)
        except WeightsError as error:
            damage = damage or error
            continue
        if damage is not None:
            message = f"{damage}; the checkpoint before it is used, after epoch {checkpoint.epoch}"
            warnings.warn(message, GenkitWarning, stacklevel=2)
        return checkpoint
    if damage is not None:
        raise damage
    return None


def read_together(path: Path, device: torch.device) -> Checkpoint | None:
    """The leading process's checkpoint, in every process, wherever its disk is; None: it has none.

    Raises:
        WeightsError: no checkpoint can be read.
    """
    point = read(path) if group.is_leader() else None
    if group.count() == 1:
        return point
    with tempfile.TemporaryDirectory() as folder:
        file = group.file_of_leader(None if point is None else point.path, Path(folder) / path.name, device)
        return point if group.is_leader() or file is None else _read(file)


def _read(path: Path) -> Checkpoint:
    tensors, metadata = read_tensors(path)
    if KEY not in metadata:
        raise WeightsError(f"{path}: is no checkpoint: its metadata hold no '{KEY}'")
    try:
        checkpoint = Checkpoint(path, tensors, strict_json.loads(metadata[KEY]), metadata)
        assert checkpoint.epoch >= 0
        assert isinstance(checkpoint.plain, dict)
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError, RecursionError, OverflowError):
        raise WeightsError(f"{path}: its metadata '{KEY}' are damaged; remove it, and resume the run anew") from None
    return checkpoint


def restore(checkpoint: Checkpoint, trainer: Trainer) -> None:
    """Restore a trainer's state.

    Raises:
        WeightsError: tensors have other names, shapes or types than the model, its optimizers and the trainer's states,
            or a state is damaged.
    """
    values = {**checkpoint.tensors, **checkpoint.plain}
    _check(checkpoint, trainer, values)
    state: dict[str, Any] = {"model": {}, "optimizers": {}, "scaler": checkpoint.header.get("scaler"), "states": {}}
    for key, value in values.items():
        if key.startswith(MODEL):
            state["model"][key.removeprefix(MODEL)] = value
            continue
        kind, owner, rest = key.split("/", 2)
        if kind == "state":
            state["states"].setdefault(owner, {})[rest] = value
        else:
            index, _, name = rest.partition("/")
            state["optimizers"].setdefault(owner, {}).setdefault(int(index), {})[name] = value
    try:
        trainer.load_state_dict(state)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise WeightsError(f"{checkpoint.path}: its state of training is damaged ({in_a_line(error)})") from None


def _check(checkpoint: Checkpoint, trainer: Trainer, values: Mapping[str, Any]) -> None:
    """Refuse values that are not exactly those of the trainer; only its further `states` may have others."""
    expected = {name: each for name, each in _flat(trainer.state_dict()).items() if isinstance(each, Tensor)}
    own = {name: each for name, each in expected.items() if not name.startswith("state/")}
    stored = {name: each for name, each in values.items() if isinstance(each, Tensor) and not name.startswith("state/")}
    if DIGEST not in checkpoint.metadata:  # of an earlier genkit, which kept less of some optimizers
        own = {name: each for name, each in own.items() if name in stored or name.startswith(MODEL)}
        warnings.warn(f"{checkpoint.path}: has no digest, so damage to it is not seen", GenkitWarning, stacklevel=3)
    check_fit(own, stored, checkpoint.path)
    strange = [name for name in values if not name.startswith((MODEL, "optimizer/", "state/")) or name.count("/") == 1]
    if strange:
        raise WeightsError(f"{checkpoint.path}: holds '{strange[0]}', which is no part of a checkpoint")


def model_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the model alone, by their names in the model."""
    return {name.removeprefix(MODEL): each for name, each in tensors.items() if name.startswith(MODEL)}


def epochs_done(path: Path) -> int:
    """The number of whole epochs done at a checkpoint; 0 where there is no checkpoint."""
    checkpoint = read(path)
    return 0 if checkpoint is None else checkpoint.epoch
