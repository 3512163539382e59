"""Building a model from a config in any of its forms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genkit.config import RunConfig
from genkit.interfaces import Schema, Shape
from genkit.model import building
from genkit.model.model import Model
from genkit.runs.assignments import Overrides, assignments
from genkit.runs.opening import as_config


def build(
    config: str | Path | Mapping[str, Any] | RunConfig,
    data: Schema | Shape,
    overrides: Overrides = (),
    **options: Any,
) -> Model:
    """The model that a config describes, with weights drawn from torch's random state.

    Args:
        config: a YAML file, plain values in nested mappings, or a RunConfig.
        data: the shape of one datum, or the schema of data with side data.
        overrides: as for `run`.
        options: as for `run`.

    Raises:
        ConfigError: the config is wrong; a line for each fault.
        ComponentError: a part cannot be built, two parts do not fit, a term needs what the model lacks, or a part reads
            side data that there are not.
    """
    return building.build(as_config(config, assignments(overrides, options)), data)
