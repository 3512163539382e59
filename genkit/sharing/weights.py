"""One file that holds a model: safetensors whose metadata say how to rebuild it. Reading it runs no code from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError

from genkit import config
from genkit.data.dataset import DataSignature
from genkit.errors import GenkitError, HubError, WeightsError
from genkit.files.tensors import fill, opened, read_tensors, write_tensors
from genkit.model.building import build
from genkit.model.model import Model
from genkit.record.directory import CONFIG_FILE, MODEL_FILE
from genkit.registry.provenance import PluginRecord, explained, plugins_of, warn_of_changes
from genkit.registry.registry import installed
from genkit.settings.base import Settings
from genkit.sharing import hub

FORMAT = 2
"""1: the records of plugins hold no hash."""
KEY = "genkit"


class Header(Settings):
    """What the metadata of a model file hold, beside the weights."""

    format: int = Field(ge=1)
    config: dict[str, Any]
    data: DataSignature
    plugins: tuple[PluginRecord, ...]


def save(path: Path, model: Model) -> None:
    """Write a model that `build` made and that knows its data; raises RunError where the place cannot be written."""
    assert model.config is not None
    assert model.data is not None
    header = Header(format=FORMAT, config=model.config.resolved(), data=model.data, plugins=plugins_of(model.config))
    write_tensors(path, model.state_dict(), {KEY: header.model_dump_json()})


def load(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """The model of a file that `save` wrote, of the run directory that holds one, or of hf://USER/REPO; in eval mode.

    Warns (GenkitWarning) where a plugin is here in another version, or with other code, than the model was made with.

    Raises:
        WeightsError: damaged, not genkit's, or the weights do not fit the model.
        ComponentError: distributions that the model needs are not installed, or are in a version that it cannot be
            loaded with; with the pip install line.
        HubError: it is to come from the Hub, and cannot be had.
    """
    file = locate(path)
    tensors, metadata = read_tensors(file)
    header = _header(file, metadata)
    try:
        run_config = config.parse(header.config, installed, source=str(file))
        with torch.random.fork_rng():
            model = build(run_config, header.data.shape)
        fill(model, tensors, file)
    except GenkitError as error:
        raise explained(error, header.plugins, file, header.config.get("plugins", "all")) from None
    warn_of_changes(header.plugins, path, run_config.plugins)
    model.data = header.data
    return model.to(device).eval()


def locate(path: str | Path) -> Path:
    """The model file that a path stands for: of a run directory, or fetched from the Hub.

    Raises:
        WeightsError: the run is not finished.
        HubError: it cannot be fetched, or is none of genkit's.
    """
    if hub.is_address(path):
        file = hub.fetch(path, MODEL_FILE)
        try:
            read_header(file)
        except WeightsError as error:
            raise HubError(f"{hub.address(path)}: holds no model of genkit: {error}") from None
        return file
    path = Path(path)
    file = path / MODEL_FILE if path.is_dir() else path
    if path.is_dir() and not file.exists() and (path / CONFIG_FILE).exists():
        raise WeightsError(
            f"{path}: the run is not finished, so it has no {MODEL_FILE}; go on with: genkit resume {path}"
        )
    return file


def read_header(path: Path) -> Header:
    """What a model file says of itself, its tensors left alone; raises WeightsError as `read_tensors` does."""
    with opened(path) as file:
        metadata = file.metadata() or {}
    return _header(path, metadata)


def _header(path: Path, metadata: dict[str, str]) -> Header:
    if KEY not in metadata:
        raise WeightsError(f"{path}: is a safetensors file, but not of genkit: its metadata hold no '{KEY}'")
    try:
        version = json.loads(metadata[KEY]).get("format", 0)
        if version > FORMAT:
            raise WeightsError(
                f"{path}: has format {version}, and this genkit reads up to {FORMAT}; upgrade genkit-torch"
            )
        return Header.model_validate_json(metadata[KEY])
    except (ValidationError, ValueError, AttributeError, TypeError) as error:
        raise WeightsError(f"{path}: its metadata '{KEY}' are damaged: {str(error).splitlines()[0]}") from None
