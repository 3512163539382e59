"""Model files: safetensors with metadata from which the model is rebuilt. Reading one runs no code from it."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from torch import Tensor
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from genkit import config
from genkit.config import RunConfig
from genkit.data.dataset import DataSignature
from genkit.errors import GenkitError, GenkitWarning, HubError, WeightsError
from genkit.files import strict_json
from genkit.files.tensors import fill, opened, read_tensors, write_tensors
from genkit.interfaces import Schema
from genkit.model.building import build
from genkit.model.model import Model
from genkit.record.directory import CONFIG_FILE, MODEL_FILE, RunDirectory
from genkit.registry.provenance import PluginRecord, explained, plugins_of, warn_of_changes
from genkit.registry.registry import installed
from genkit.settings.base import Settings
from genkit.sharing import hub
from genkit.speed.footprint import watching
from genkit.training import checkpoint
from genkit.training.checkpoint import Checkpoint, model_tensors

FORMAT, WITHOUT_FILES = 3, 2
"""The versions of the format, with and without plugins in one file; in 1, the records of plugins hold no hash."""
KEY = "genkit"
LONGEST = 2**20
"""The largest number of characters of the config in the metadata."""
MOST_TENSORS, SPARE = 1000, 2**26
"""How many tensors, and numbers in them, a model may have beside twice those of its file: some are not saved."""
UNWATCHED = "the memory that a foreign model file takes is not limited"
ROOM = 2**30
"""The most bytes that building a model may take beside four times those of its file: a pass of two data through it."""


class Header(Settings):
    """The metadata of a model file."""

    format: int = Field(ge=1)
    config: dict[str, Any]
    data: DataSignature
    plugins: tuple[PluginRecord, ...] = Field(max_length=100)


def save(path: Path, model: Model) -> None:
    """Write a model that has a config and a data signature; raises RunError where the file cannot be written."""
    write_tensors(path, model.state_dict(), {KEY: header_text(model)})


def header_text(model: Model) -> str:
    """The metadata `KEY` of a model that has a config and a data signature."""
    assert model.config is not None
    assert model.data is not None
    plugins = plugins_of(model.config)
    version = FORMAT if any(record.file for record in plugins) else WITHOUT_FILES
    header = Header(format=version, config=model.config.resolved(), data=model.data, plugins=plugins)
    return header.model_dump_json()


def load(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """The model of a model file, of a run directory, or of hf://USER/REPO, in eval mode.

    The file may be anybody's: no code of it runs, nothing that it names is read, and a model that does not fit the
    tensors of the file is refused before it takes memory.

    Warns (GenkitWarning) where a plugin has another version or other code here than the model was made with, and where
    a run is not finished: the weights of its checkpoint are used then.

    Raises:
        WeightsError: the file is damaged or not genkit's, or the weights do not fit the model.
        ComponentError: plugins that the model needs are missing, or have a version with which it cannot be loaded; with
            the pip command.
        HubError: the file cannot be fetched from the Hub.
    """
    point = _unfinished(path)
    file = locate(path) if point is None else point.path
    header = read_header(file)
    try:
        run_config = config.parse(header.config, installed, source=str(file))
        with torch.random.fork_rng():
            model = _built(run_config, header.data.for_parts(), file)
        fill(model, read_tensors(file)[0] if point is None else model_tensors(point.tensors), file)
    except GenkitError as error:
        raise explained(error, header.plugins, file, header.config.get("plugins", "all")) from None
    warn_of_changes(header.plugins, path, run_config.plugins)
    model.data, model.path = header.data, str(path if hub.is_address(path) else Path(path).absolute())
    return model.to(device).eval()


def _unfinished(path: str | Path) -> Checkpoint | None:
    """The checkpoint of a run that has no model yet; None: there is a model, or no checkpoint with a header."""
    if hub.is_address(path) or not Path(path).is_dir() or (Path(path) / MODEL_FILE).exists():
        return None
    point = checkpoint.read(RunDirectory(Path(path)).checkpoint)
    if point is None or KEY not in point.metadata:
        return None
    message = f"{path}: its training is not finished; these are its weights after {point.epoch} whole epochs"
    warnings.warn(message, GenkitWarning, stacklevel=3)
    return point


def _built(run_config: RunConfig, schema: Schema, file: Path) -> Model:
    """The model of a config, with fresh weights.

    Raises:
        WeightsError: it would have far more weights than the file, or take far more memory than they explain.
        ComponentError: the model cannot be built.
    """
    size, counts = file.stat().st_size, _Counts(file)
    hooks = [register_module_parameter_registration_hook(counts), register_module_buffer_registration_hook(counts)]
    try:
        with watching(UNWATCHED, ROOM + 4 * size):
            return build(run_config, schema)
    except GenkitError as error:
        if isinstance(error.__cause__, MemoryError):
            raise WeightsError(f"{file}: {error.__cause__}; it is damaged, or is no model for its tensors") from None
        raise
    except MemoryError as error:
        raise WeightsError(f"{file}: {error}; it is damaged, or is no model for its tensors") from None
    finally:
        for hook in hooks:
            hook.remove()


class _Counts:
    """Counts the numbers of a model's tensors while its parts are built, before any of them is filled."""

    def __init__(self, file: Path) -> None:
        with opened(file) as tensors:
            shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
        self.most, self.most_numbers = 2 * len(shapes) + MOST_TENSORS, 2 * sum(map(math.prod, shapes)) + SPARE
        self.tensors = self.numbers = 0

    def __call__(self, _: object, name: str, tensor: Tensor | None) -> None:
        """Take note of a tensor that a module registers; raises MemoryError where they are too many."""
        self.tensors += 1
        self.numbers += 0 if tensor is None else tensor.numel()
        if self.tensors > self.most or self.numbers > self.most_numbers:
            raise MemoryError("the model that its config describes is far larger than its tensors")


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


def is_of_run(path: str | Path) -> bool:
    """Whether a path is that of a run's directory, or of the model file in one: not of a file from elsewhere."""
    if hub.is_address(path):
        return False
    path = Path(path)
    return ((path if path.is_dir() else path.parent) / CONFIG_FILE).is_file()


def read_header(path: Path) -> Header:
    """The header of a model file, read without its tensors; raises WeightsError as `read_tensors` does."""
    with opened(path) as file:
        metadata = file.metadata() or {}
    return _header(path, metadata)


def header_of(path: Path, metadata: dict[str, str]) -> Header | None:
    """The header in the metadata of a checkpoint; None: it is older than that. Raises WeightsError on damage."""
    return _header(path, metadata) if KEY in metadata else None


def _header(path: Path, metadata: dict[str, str]) -> Header:
    if KEY not in metadata:
        raise WeightsError(f"{path}: is a safetensors file, but not of genkit: its metadata hold no '{KEY}'")
    try:
        values = strict_json.loads(metadata[KEY])
        version = values.get("format", 0)
        if version > FORMAT:
            raise WeightsError(
                f"{path}: has format {version}, and this genkit reads up to {FORMAT}; upgrade genkit-torch"
            )
        if len(json.dumps(values.get("config"))) > LONGEST:
            raise WeightsError(f"{path}: its config has more than {LONGEST:,} characters")
        return Header.model_validate(values)
    except (ValidationError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path}: its metadata '{KEY}' are damaged: {str(error).splitlines()[0]}") from None
