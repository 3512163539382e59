"""The origin of a new run: the config that it is started from, and the options that differ from it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genkit.config import RunConfig
from genkit.errors import GenkitError
from genkit.examples import spelling
from genkit.record.origin import Origin
from genkit.runs.opening import as_config
from genkit.settings.differences import Difference, differences


def origin_from(
    source: str | Path | Mapping[str, Any] | RunConfig, overrides: Iterable[str], run_config: RunConfig
) -> Origin:
    """The origin of a run that is started from `source` with `overrides`, whose config is `run_config`."""
    overrides = tuple(overrides)
    config = spelling(source) if isinstance(source, str | Path) else None
    return Origin(config, overrides, tuple(_changes(source, overrides, run_config)) if overrides else ())


def _changes(source: Any, overrides: tuple[str, ...], run_config: RunConfig) -> list[Difference]:
    """The options that overrides changed; of a config that is none without them, those that they name."""
    plugins = [each for each in overrides if re.split(r"[.=\[]", each)[0] == "plugins"]  # no other code runs
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the config that runs they are said
            start = as_config(source, plugins)
    except GenkitError:
        return [Difference(key, None, value) for key, _, value in (each.partition("=") for each in overrides)]
    return differences(start.resolved(), run_config.resolved())
