"""What Python calls: runs and models by configs in any form, with options as keywords, and with a display."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genkit.config import RunConfig
from genkit.interfaces import Schema, Shape
from genkit.model import building
from genkit.model.model import Model
from genkit.record.run import Run
from genkit.runs import running
from genkit.runs.assignments import Overrides, assignments
from genkit.runs.notebook import with_display
from genkit.runs.opening import as_config

Config = str | Path | Mapping[str, Any] | RunConfig
"""A config: a YAML file, plain values in nested mappings, or a RunConfig."""


def run(
    source: Config,
    overrides: Overrides = (),
    out: str | Path | None = None,
    listeners: Iterable[object] = (),
    until: tuple[int, int] | None = None,
    *,
    progress: bool | None = None,
    **options: Any,
) -> Run:
    """Train the model of a config, save its weights, evaluate it and draw its pictures.

    `genkit.run("vae.yaml", epochs=5, seed=1, sampler={"latent": 8})`.

    Args:
        source: a YAML file, plain values in nested mappings, or a RunConfig.
        overrides: `key=value` assignments as on the command line, or a mapping: `{"sampler.latent": 8}`, or nested.
        out: the run's directory, which must be empty or new; by default a new one in runs/.
        listeners: objects that follow this run, with methods named as the events in `genkit.registry.hooks`; one with
            `should_stop` may end training early.
        until: whole epochs and further steps after which the run is left as if it were interrupted; None: to its end.
        progress: whether the progress is shown; None: in a notebook, and where stderr is a terminal.
        options: keys of the config, and of its `training`, with values that replace those of the config. A mapping
            replaces the options that it has; one with a `name` is a whole part.

    Raises:
        GenkitError: see `genkit.errors`; a config or data error leaves nothing on disk.
    """
    return running.run(source, assignments(overrides, options), out, with_display(listeners, progress), until)


def resume(
    path: str | Path,
    epochs: int | None = None,
    listeners: Iterable[object] = (),
    overrides: Overrides = (),
    accept_changes: bool = False,
    until: tuple[int, int] | None = None,
    *,
    progress: bool | None = None,
    **options: Any,
) -> Run:
    """Resume a run where it stands, as if it had never been interrupted; warns (GenkitWarning) of changed plugins.

    Args:
        path: the run's directory.
        epochs: the number of epochs in all; None: the number in the config.
        listeners: as for `run`.
        overrides: as for `run`; they hold from here on, and the run records them.
        accept_changes: whether to warn of changed data and a changed config instead of refusing them.
        until: as for `run`.
        progress: as for `run`.
        options: as for `run`.

    Raises:
        RunError: the directory is no run's, is finished, is written by another process, or its data or config changed.
        ComponentError: a plugin that the run began with is missing, or too different; with the pip command.
    """
    texts = assignments(overrides, options)
    return running.resume(path, epochs, with_display(listeners, progress), texts, accept_changes, until)


def build(config: Config, data: Schema | Shape, overrides: Overrides = (), **options: Any) -> Model:
    """The model that a config describes, with weights drawn from torch's random state.

    Args:
        config: a config, as for `run`.
        data: the shape of one datum, or the schema of data with side data.
        overrides: as for `run`.
        options: as for `run`.

    Raises:
        ConfigError: the config is wrong; a line for each fault.
        ComponentError: a part cannot be built, two parts do not fit, a term needs what the model lacks, or a part reads
            side data that there are not.
    """
    return building.build(as_config(config, assignments(overrides, options)), data)
