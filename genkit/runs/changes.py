"""Changes to a run while it was resumed, and changes behind its back: to its config, its data, its checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from genkit.config import RunConfig
from genkit.data.dataset import DataSignature
from genkit.errors import GenkitWarning, RunError
from genkit.files import atomic, strict_json
from genkit.record.directory import RunDirectory


class Change(NamedTuple):
    """Options that a resumed run was given."""

    epoch: int
    """The number of whole epochs done before."""
    step: int
    """The number of steps done after them."""
    overrides: Sequence[str]


def changes_of(directory: RunDirectory) -> list[Change]:
    """The changes of a run, in their order; raises RunError where their file is damaged."""
    try:
        values = strict_json.read(directory.changes)
        return [
            Change(int(each["epoch"]), int(each["step"]), [str(one) for one in each["overrides"]]) for each in values
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        message = f"{directory.changes}: is damaged ({error}); it holds the options that genkit resume was given"
        raise RunError(message) from None


def overrides_of(directory: RunDirectory) -> list[str]:
    """All options that a resumed run was given, in their order; raises RunError as `changes_of` does."""
    return [each for change in changes_of(directory) for each in change.overrides]


def record(directory: RunDirectory, change: Change) -> None:
    """Add a change to those of a run; raises RunError where it cannot be written."""
    changes = [each._asdict() for each in [*changes_of(directory), change]]
    atomic.write_text(directory.changes, strict_json.dumps(changes, indent=2) + "\n")


def differences(one: Mapping[str, Any], other: Mapping[str, Any], above: str = "") -> list[str]:
    """The options that differ, each with both values: `training.optimizer.lr: 0.001, now 0.0001`."""
    lines = []
    for key in dict.fromkeys([*one, *other]):
        left, right = one.get(key), other.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            lines += differences(left, right, f"{above}{key}.")
        elif left != right:
            lines.append(f"{above}{key}: {left}, now {right}")
    return lines


def check_config(recorded: RunConfig, now: RunConfig, directory: RunDirectory, accept: bool) -> None:
    """Refuse a config that is not the one that the checkpoint was written with, but for its name and its length.

    Args:
        recorded: the config in the checkpoint, with all options that the run was given since.
        now: the config of the run.
        directory: the run.
        accept: whether a changed config is accepted; a GenkitWarning names the options then.

    Raises:
        RunError: options differ; with their names, both values, and the remedy.
    """
    changed = [
        each
        for each in differences(recorded.resolved(), now.resolved())
        if not each.startswith(("training.epochs:", "training.steps:", "name:"))
    ]
    if changed:
        key = changed[0].partition(":")[0]
        remedy = f"put it back, and give the option to the command: genkit resume {directory.path} {key}=..."
        _refuse(f"{directory.config}: is not the config of the checkpoint: {'; '.join(changed)}", remedy, accept)


def check_data(recorded: DataSignature, now: DataSignature | None, path: object, accept: bool) -> None:
    """Refuse data that are not those that a model was trained on; files older than fingerprints are warned of.

    Args:
        recorded: the signature in the model or the checkpoint.
        now: the signature of the data that are there.
        path: the run, for the message.
        accept: whether changed data are accepted; a GenkitWarning names them then.

    Raises:
        RunError: the data differ.
    """
    assert now is not None
    if recorded.fingerprint is None:
        message = f"{path}: has no fingerprint of its data, so a change of them is not seen"
        warnings.warn(message, GenkitWarning, stacklevel=3)
    elif recorded.fingerprint != now.fingerprint:
        what = _changed(recorded, now)
        _refuse(f"{path}: the data of '{now.source}' are not those of its training: {what}", "put them back", accept)


def _changed(recorded: DataSignature, now: DataSignature) -> str:
    pairs: Iterable[tuple[str, object, object]] = (
        ("shape", recorded.shape, now.shape),
        ("number of data", dict(recorded.counts), dict(now.counts)),
        ("classes", recorded.classes, now.classes),
        ("range", recorded.range, now.range),
        ("columns", _names(recorded), _names(now)),
    )
    return "; ".join(f"{name} {one}, now {other}" for name, one, other in pairs if one != other) or "other values"


def _names(data: DataSignature) -> list[str]:
    return [column.name for column in data.columns]


def _refuse(message: str, remedy: str, accept: bool) -> None:
    if not accept:
        raise RunError(f"{message}; {remedy}, or accept it with --accept-changes")
    warnings.warn(message, GenkitWarning, stacklevel=4)
