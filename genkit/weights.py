"""One file that holds a model: safetensors whose metadata say how to rebuild it. Reading it runs no code from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genkit import atomic, config
from genkit.assembly import build
from genkit.data import DataSignature
from genkit.errors import ComponentError, ConfigError, GenkitError, WeightsError
from genkit.model import Model
from genkit.registry import THIS_PROCESS, registry
from genkit.settings import Settings

FORMAT = 1
KEY = "genkit"
MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.yaml"


class PluginRecord(Settings):
    """A distribution whose components a model uses."""

    distribution: str
    version: str
    components: tuple[str, ...]
    """`kind/name` of each component used."""


class Header(Settings):
    """What the metadata of a model file hold, beside the weights."""

    format: int = Field(ge=1)
    config: dict[str, Any]
    data: DataSignature
    plugins: tuple[PluginRecord, ...]


def plugins_of(run_config: config.RunConfig) -> tuple[PluginRecord, ...]:
    """The distributions that brought the components of a config."""
    used: dict[tuple[str, str], list[str]] = {}
    for kind, settings in run_config.components():
        plugin = registry().owner(registry().find(kind, settings.name))
        used.setdefault((plugin.distribution, plugin.version), []).append(f"{kind}/{settings.name}")
    return tuple(PluginRecord(distribution=d, version=v, components=tuple(parts)) for (d, v), parts in used.items())


def save(path: Path, model: Model) -> None:
    """Write a model that `build` made and that knows its data; raises RunError where the place cannot be written."""
    assert model.config is not None
    assert model.data is not None
    header = Header(format=FORMAT, config=model.config.resolved(), data=model.data, plugins=plugins_of(model.config))
    write_tensors(path, model.state_dict(), {KEY: header.model_dump_json()})


def load(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """The model of a file that `save` wrote, or of the run directory that holds one; in eval mode.

    Raises:
        WeightsError: damaged, not genkit's, or the weights do not fit the model.
        ComponentError: a distribution that the model needs is not installed; names it and its version.
    """
    path = Path(path)
    file = path / MODEL_FILE if path.is_dir() else path
    if path.is_dir() and not file.exists() and (path / CONFIG_FILE).exists():
        raise WeightsError(
            f"{path}: the run is not finished, so it has no {MODEL_FILE}; go on with: genkit resume {path}"
        )
    tensors, metadata = read_tensors(file)
    header = _header(file, metadata)
    try:
        run_config = config.parse(header.config, source=str(file))
    except ConfigError as error:
        raise _missing_plugins(file, header) or error from None
    with torch.random.fork_rng():
        model = build(run_config, header.data.shape)
    model.data = header.data
    fill(model, tensors, file)
    return model.to(device).eval()


def fill(model: torch.nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Copy tensors into a model of exactly their names and shapes; raises WeightsError naming what differs."""
    owed = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if owed != given:
        names = sorted(name for name in owed.keys() | given.keys() if owed.get(name) != given.get(name))
        first = f"{names[0]}: the model has {owed.get(names[0], 'none')}, the file {given.get(names[0], 'none')}"
        raise WeightsError(f"{source}: {len(names)} tensors do not fit the model that the config describes ({first})")
    model.load_state_dict(tensors)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all; shared tensors are written once each."""
    separate = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    with atomic.replacing(path) as temporary:
        save_file(separate, temporary, metadata={"format": "pt", **metadata})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and metadata of a safetensors file; raises WeightsError where it is missing or damaged."""
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        message = f"{path}: is no readable safetensors file, or was cut short ({error}); copy or make it again"
        raise WeightsError(message) from None


def _header(path: Path, metadata: dict[str, str]) -> Header:
    if KEY not in metadata:
        raise WeightsError(f"{path}: is a safetensors file, but not of genkit: its metadata hold no '{KEY}'")
    try:
        found = json.loads(metadata[KEY]).get("format", 0)
        if found > FORMAT:
            raise WeightsError(
                f"{path}: has format {found}, and this genkit reads up to {FORMAT}; upgrade genkit-torch"
            )
        return Header.model_validate_json(metadata[KEY])
    except (ValidationError, ValueError, AttributeError, TypeError) as error:
        raise WeightsError(f"{path}: its metadata '{KEY}' are damaged: {str(error).splitlines()[0]}") from None


def _missing_plugins(path: Path, header: Header) -> GenkitError | None:
    """What to say where a config names components that nobody here brings: all of them, and how to install them."""
    missing: list[tuple[PluginRecord, list[str]]] = []
    for plugin in header.plugins:
        parts = [part for part in plugin.components if not _is_here(part)]
        if parts:
            missing.append((plugin, parts))
    if not missing:
        return None
    wanted = [f"{_listed(parts)} of {plugin.distribution} {plugin.version}".rstrip() for plugin, parts in missing]
    remedies = []
    if lines := [f"'{p.distribution}=={p.version}'" for p, _ in missing if p.distribution != THIS_PROCESS]:
        remedies.append(f"pip install {' '.join(lines)}")
    if any(plugin.distribution == THIS_PROCESS for plugin, _ in missing):
        remedies.append("what was registered in the process that trained it, register here too (genkit.register)")
    return ComponentError(
        f"{path}: needs {', and '.join(wanted)}, which {'is' if len(missing) == 1 else 'are'} not installed; "
        f"{'; '.join(remedies)}"
    )


def _is_here(part: str) -> bool:
    kind, _, name = part.partition("/")
    if "/" not in name:
        return name in registry().names(kind)
    try:
        registry().find(kind, name)
    except ComponentError:
        return False
    return True


def _listed(parts: list[str]) -> str:
    split = [part.partition("/") for part in parts]
    return ", ".join(f"{kind} '{name}'" for kind, _, name in split)
