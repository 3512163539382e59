"""Model files: safetensors with metadata from which the model is rebuilt. Reading one runs no code from it."""

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
"""The version of the format; in 1, the records of plugins hold no hash."""
KEY = "genkit"


class Header(Settings):
    """The metadata of a model file."""

    format: int = Field(ge=1)
    config: dict[str, Any]
    data: DataSignature
    plugins: tuple[PluginRecord, ...]


def save(path: Path, model: Model) -> None:
    """Write a model that has a config and a data signature; raises RunError where the file cannot be written."""
    assert model.config is not None
    assert model.data is not None
    header = Header(format=FORMAT, config=model.config.resolved(), data=model.data, plugins=plugins_of(model.config))
    write_tensors(path, model.state_dict(), {KEY: header.model_dump_json()})


def load(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """The model of a model file, of a run directory, or of hf://USER/REPO, in eval mode.

    Warns (GenkitWarning) where a plugin has another version or other code here than the model was made with.

    Raises:
        WeightsError: the file is damaged or not genkit's, or the weights do not fit the model.
        ComponentError: plugins that the model needs are missing, or have a version with which it cannot be loaded; with
            the pip command.
        HubError: the file cannot be fetched from the Hub.
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
    """The model file of a path: the file itself, that of a run directory, or one fetched from the Hub.

    Raises:
        WeightsError: the run is not finished.
        HubError: the file cannot be fetched, or is not genkit's.
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
    """The header of a model file, read without its tensors; raises WeightsError as `read_tensors` does."""
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
