"""Parts of a new model that start from the weights of a trained one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from genkit.config import RunConfig
from genkit.errors import ConfigError, GenkitError, GenkitWarning, RunError
from genkit.files import strict_json
from genkit.files.tensors import digest, forms, read_tensors
from genkit.model.model import Model
from genkit.record.directory import RunDirectory
from genkit.settings.base import nearest
from genkit.settings.training import Init
from genkit.sharing import hub, weights

FIRST = 4
"""The largest number of tensors that an error names."""


def start_from_trained(model: Model, run_config: RunConfig, folder: Path | None = None) -> dict[str, Any] | None:
    """Give the parts that `init` names the weights of its trained model.

    Args:
        model: the model, with fresh weights.
        run_config: the config of the run.
        folder: where a relative path starts; None: in the working directory.

    Returns:
        The trained model, the SHA-256 of its weights, and the parts; None where the config has no `init`.

    Raises:
        ConfigError: the trained model cannot be read, or parts do not fit; a line for each of the first misfits.
    """
    if run_config.init is None:
        return None
    tensors, sha256 = trained_parts(model, run_config, folder)
    model.load_state_dict(tensors, strict=False)
    parts = sorted({name.partition(".")[0] for name in tensors})
    return {"from": run_config.init.source, "sha256": sha256, "parts": parts}


def trained_parts(model: Model, run_config: RunConfig, folder: Path | None = None) -> tuple[dict[str, Tensor], str]:
    """The tensors that a model starts from, and the SHA-256 of all that are there; arguments and errors as above."""
    init = anchored_init(run_config.init, folder)
    if init is None:
        return {}, ""
    try:
        file = weights.locate(init.source)
        weights.read_header(file)
        tensors, _ = read_tensors(file)
    except GenkitError as error:
        raise ConfigError(f"init.from: {error}") from None
    own = [name for name, _ in model.named_children()]
    for part in init.parts or ():
        if part not in own:
            raise ConfigError(f"init.parts: the model has no part '{part}'; {nearest(part, own)}")
    parts = own if init.parts is None else init.parts
    chosen = {name: each for name, each in tensors.items() if name.partition(".")[0] in parts}
    expected = {name: each for name, each in model.state_dict().items() if name.partition(".")[0] in parts}
    if misfits := list(_misfits(forms(expected), forms(chosen))):
        wrong = " and ".join(dict.fromkeys(each.partition(".")[0] for each in misfits))
        remedy = f"init: give {wrong} the options, data and condition of {init.source}, or name others in init.parts"
        shown = misfits[:FIRST] + [f"and {len(misfits) - FIRST:,} more tensors"] * (len(misfits) > FIRST)
        raise ConfigError(*(f"init.from: {init.source}: {each}" for each in shown), remedy)
    return chosen, digest(tensors, {})


def _misfits(expected: dict[str, str], there: dict[str, str]) -> Iterator[str]:
    """A line for each tensor that is not the same here and there."""
    for name in sorted(expected.keys() | there.keys()):
        here, trained = expected.get(name), there.get(name)
        if here is None or trained is None:
            yield f"{name} is not {'here' if here is None else 'there'}"
        elif here != trained:
            yield f"{name} is {trained} there, and {here} here"


def anchored_init(init: Init | None, folder: Path | None) -> Init | None:
    """The options with a relative path that leads to something in a folder made absolute."""
    if init is None or folder is None or hub.is_address(init.source) or not (folder / init.source).exists():
        return init
    return init.model_copy(update={"source": str(folder / init.source)})


def check_origin(directory: RunDirectory, origin: dict[str, Any] | None, accept: bool) -> None:
    """Refuse a trained model whose weights are not those that the run began with; `accept`: warn of it instead."""
    try:
        recorded = strict_json.read(directory.init)["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # the run was killed before it recorded any
    if origin is None or origin["sha256"] == recorded:
        return
    message = f"{directory.path}: the weights of init.from, {origin['from']}, are not those that the run began with"
    if not accept:
        raise RunError(f"{message}; put them back, or accept them with --accept-changes")
    warnings.warn(message, GenkitWarning, stacklevel=3)
