"""Opening a config or a run: its data, its model, and its directory."""

from __future__ import annotations

import contextlib
import json
import platform
import re
import time
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from genkit import config
from genkit.config import RunConfig
from genkit.data.assumptions import doubts
from genkit.data.checks import check_support
from genkit.data.classes import differing
from genkit.data.dataset import Dataset, DataSignature
from genkit.data.loading import load as load_data
from genkit.data.paths import anchored
from genkit.data.steps import those_there
from genkit.data.transforming import Chain
from genkit.errors import ConfigError, DataError, GenkitError, GenkitWarning
from genkit.evaluation import metrics
from genkit.examples import config_path
from genkit.files import atomic, strict_json
from genkit.interfaces import DataSource
from genkit.model.building import build
from genkit.model.model import Model
from genkit.parallel import group
from genkit.record.directory import ROOT, RunDirectory
from genkit.record.origin import Origin, claim
from genkit.registry.choices import complete, installed_with_files
from genkit.registry.provenance import PluginRecord, explained, plugin_hash, plugins_of
from genkit.registry.registry import installed, registry
from genkit.registry.selection import CODE_WORD, names_file
from genkit.runs import hardware, threads
from genkit.runs.asking import check_asked
from genkit.runs.assignments import Overrides, assignments, plain
from genkit.runs.changes import check_data, overrides_of
from genkit.settings import yaml
from genkit.sharing import hub, weights
from genkit.training.devices import choose_device
from genkit.training.guards import check_accumulation, check_last_batch, check_monitors, schedule_doubts
from genkit.training.optimization import check_parameters
from genkit.training.seeds import own_random_state, seed_everything


def as_config(source: str | Path | Mapping[str, Any] | RunConfig, overrides: Iterable[str] = ()) -> RunConfig:
    """The config from any of its forms: a file, the name of an example, plain values, or a RunConfig.

    A file and plain values are the user's own: the Python files that they name as plugins run. Their paths start in the
    folder of the config; those of plain values, and of `overrides`, in the working directory. A RunConfig may come from
    a run or from a model file, so that no path in it or in its `overrides` is opened.
    """
    overrides = list(overrides)
    if isinstance(source, RunConfig):
        complete(source.plugins)
        return config.parse(source.resolved(), complete, overrides) if overrides else source
    if not isinstance(source, str | Path):
        return config.parse(plain(source), partial(installed_with_files, folder=Path()), overrides)
    source = config_path(source)
    is_typed = any(assignment.partition("=")[0] == "plugins" for assignment in overrides)
    folder = Path() if is_typed else source.parent
    return config.load(source, partial(installed_with_files, folder=folder), map(_anchored_item, overrides))


def _anchored_item(assignment: str) -> str:
    """An override with an absolute path where it names a file as one item of the plugins, such as plugins[1]=./x.py."""
    key, _, value = assignment.partition("=")
    if not re.match(r"plugins[.\[]", key) or not names_file(value) or CODE_WORD.fullmatch(value):
        return assignment
    return f"{key}={json.dumps(str(Path(value).expanduser().absolute()))}"


def prepare(run_config: RunConfig, folder: Path | None = None) -> tuple[Dataset, Model]:
    """The data of a config, and its model with fresh weights, each checked against the other.

    Relative paths of the data start in `folder`, by default in the working directory.

    Warns (GenkitWarning) of what may be a mistake in the data.
    """
    data = load_data(anchored(run_config.data, folder))
    with own_random_state():
        seed_everything(run_config.seed, 0)
        model = build(run_config, data.schema)
    model.transforms = data.transforms  # fitted to the training data; from here on the model's own
    for split in filter(None, (data.train, data.validation, data.test)):
        check_support(split.x, model.likelihood, f"likelihood '{run_config.likelihood.name}'", data.transforms)
    model.encoder_transforms = encoder_transforms(run_config, data)
    check_last_batch(model, len(data.train.x), run_config.training.batch_size)
    check_monitors(model, run_config.training, data)
    check_accumulation(model, run_config.training)
    check_parameters(model)
    metrics.check(model, data, run_config.metrics)
    model.data = data.signature(run_config.data.name)
    of_schedules = schedule_doubts(model, run_config.training, len(data.train.x))
    for doubt in [*doubts(data, model.data.range), *of_schedules]:
        warnings.warn(doubt, GenkitWarning, stacklevel=3)
    return data, model


def encoder_transforms(run_config: RunConfig, data: Dataset) -> Chain:
    """The transforms of a config's encoder, fitted to training data in the model's units; raises DataError."""
    chain = Chain.of(run_config.encoder_transform, data.schema, "encoder_transform")
    if len(chain):
        chain.after(data.transforms).fit(those_there(data.train), fitted=len(data.transforms))
    return chain


def reopen(path: str | Path, overrides: Overrides = (), accept_changes: bool = False) -> tuple[Model, Dataset]:
    """A trained model, and the data of its config; `overrides` such as `data.root=DIR` or `data=NAME` change the data.

    A model file that lies in no run's directory may be anybody's: the files that it names are read only where the
    overrides name them too.

    Args:
        path: a run, a model file, or hf://USER/REPO.
        overrides: options of the data that replace the config's.
        accept_changes: whether data that changed since training are accepted, and warned of.

    Raises:
        ConfigError: an override changes something else than the data, or a file from elsewhere names files.
        RunError: the data of the config are not those of the training.
        DataError: the model reads classes, and the data have others.
        GenkitError: the model or its data cannot be loaded.
    """
    overrides = assignments(overrides)
    model, data_config = model_and_data_config(path, overrides)
    data = load_for(model, data_config)
    if overrides:
        warn_of(data.doubts)
    else:
        check_data(_signature(model), data.signature(data_config.name), path, accept_changes)
    return model, data


def model_and_data_config(path: str | Path, overrides: Iterable[str] = ()) -> tuple[Model, DataSource.Config]:
    """A trained model, and the options of its data, with overrides; raises ConfigError as `reopen` does."""
    model, overrides = weights.load(path), list(overrides)
    for assignment in overrides:
        if re.split(r"[.=\[]", assignment)[0] != "data":
            raise ConfigError(f"'{assignment}': only the data can be changed here: data=NAME or data.KEY=VALUE")
    assert model.config is not None
    if not weights.is_of_run(path):
        check_asked(path, model.config.data, overrides)
    data_config = anchored(model.config.data, folder_of(path))
    if overrides:  # what is typed here starts in the working directory
        values = model.config.model_copy(update={"data": data_config}).resolved()
        data_config = config.parse(values, installed, overrides).data
    return model, data_config


def load_for(model: Model, data_config: DataSource.Config) -> Dataset:
    """Data as a trained model takes them: with its scaling, its transforms, its columns and its classes.

    Raises:
        DataError: the model reads classes, and the data have others; or as loading does.
    """
    data = load_data(data_config, _signature(model).scaling, model.transforms, model.schema)
    read = {name: side for name, side in model.schema.side.items() if name in model.reads}
    for name in differing(data.side, read):
        trained = read[name].names or ()
        others = ", ".join(each for each in data.side[name].names or () if each not in trained)
        raise DataError(
            f"data '{data_config.name}': the model reads '{name}', and was trained on the classes "
            f"{', '.join(trained)}; leave {others} out of the data"
        )
    return data


def _signature(model: Model) -> DataSignature:
    assert model.data is not None
    return model.data


def warn_of(doubts: Iterable[str]) -> None:
    """Warn (GenkitWarning) of what may be a mistake in data."""
    for doubt in doubts:
        warnings.warn(doubt, GenkitWarning, stacklevel=4)


def folder_of(path: str | Path) -> Path | None:
    """The folder in which the run of a model was started; None: not recorded."""
    if hub.is_address(path):
        return None
    return started_in(RunDirectory(Path(path) if Path(path).is_dir() else Path(path).parent))


def environment(run_config: RunConfig) -> dict[str, Any]:
    """The environment of a run: versions, the machine, and its plugins with the hashes of their code."""
    view = installed(run_config.plugins)
    packages = ("genkit-torch", "torch", "numpy", "pluggy", "pydantic", "safetensors")
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
        "platform": platform.platform(),
        "hardware": hardware.record(choose_device(run_config.training.device)),
        **threads.record(),
        "plugins": [plugin.model_dump(mode="json") for plugin in plugins_of(run_config)],
        "listeners": [
            {"plugin": f"{p.distribution}/{p.name}", "version": p.version, "sha256": plugin_hash(p)}
            for p in view.plugins
            if p.events and view.wants(p)
        ],
    }


def create_directory(run_config: RunConfig, out: Path | None = None, origin: Origin | None = None) -> RunDirectory:
    """A new directory for a run, `out` or one in runs/, with the config and the environment in it.

    Raises:
        RunError: `out` exists and is not empty, or the directory cannot be written.
    """
    directory = claim(run_config, out, origin)
    begin(directory, run_config, origin)
    return directory


def begin(directory: RunDirectory, run_config: RunConfig, origin: Origin | None = None) -> None:
    """Write the config and the environment of a new run; raises RunError where they cannot be written."""
    job = {} if group.job() is None else {"job": group.job()}
    start: dict[str, Any] = {"started": time.time(), "started_in": str(Path.cwd()), **job}
    start |= {} if origin is None else {"origin": origin.to_json()}
    atomic.write_text(directory.local, strict_json.dumps(start) + "\n")
    atomic.write_text(directory.config, yaml.write(run_config.resolved()))  # from here on it is a run
    write_environment(directory, run_config)
    for name, source in registry().files.sources(run_config.plugins).items():
        atomic.write_text(directory.code / name, source)


def write_environment(directory: RunDirectory, run_config: RunConfig) -> None:
    """Write the environment of a run; raises RunError where it cannot be written."""
    atomic.write_text(directory.environment, strict_json.dumps(environment(run_config), indent=2) + "\n")


def unfinished_directory(run_config: RunConfig, out: Path | None = None) -> RunDirectory | None:
    """The latest directory of an unfinished run with exactly this config; None: there is none."""
    paths = [out] if out is not None else ROOT.glob(f"{run_config.name}*")
    unfinished = [each for each in map(RunDirectory, paths) if each.config.is_file() and not each.stages.is_finished]
    for directory in sorted(unfinished, key=lambda directory: directory.config.stat().st_mtime, reverse=True):
        with contextlib.suppress(GenkitError):  # it is another run: its parts are not here, or it is damaged
            if config_of(directory) == run_config:
                return directory
    return None


def config_of(directory: RunDirectory) -> RunConfig:
    """The resolved config of a run, with the options that it was given when it was resumed.

    Raises:
        ComponentError: a plugin that the run was made with is missing, or differs; with the pip command.
        ConfigError: the config is damaged.
    """
    try:
        return config.load(directory.config, complete, overrides_of(directory))
    except ConfigError as error:
        wanted = yaml.read(directory.config).values.get("plugins", "all")
        raise explained(error, recorded_plugins(directory), directory.path, wanted) from None


def started_in(directory: RunDirectory) -> Path | None:
    """The folder in which a run was started, where its relative paths begin; None: not recorded."""
    folder = _recorded(directory, "started_in")
    return None if folder is None else Path(folder)


def job_of(directory: RunDirectory) -> str | None:
    """The job of torchrun's in which a run was started; None: not recorded."""
    return _recorded(directory, "job")


def _recorded(directory: RunDirectory, key: str) -> str | None:
    """A text of what a run records for its own machine."""
    try:
        return str(strict_json.read(directory.local)[key])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def recorded_plugins(directory: RunDirectory) -> list[PluginRecord]:
    """The plugins that a run was made with; none where its record cannot be read."""
    try:
        records = strict_json.read(directory.environment)["plugins"]
        return [PluginRecord.model_validate(record) for record in records]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
