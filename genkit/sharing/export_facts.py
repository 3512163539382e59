"""The facts about a model that an exported file carries, so that the file says by itself what it takes and gives."""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any

from genkit.model.model import Model

BATCH = "batch"
"""The name of the first axis of each input and output."""


def facts_of(model: Model) -> dict[str, str]:
    """Texts by their keys, JSON all of them but the version; those that the model lacks are left out.

    `genkit.version`; `genkit.config`, every option; `genkit.classes`, the names of the labels in the order of their
    numbers; `genkit.side`, the side data that it takes, with their shapes and classes; `genkit.columns` and
    `genkit.channels`, the names of the values of tables and series; and `genkit.scaling`, the range of the training
    data, how bytes are read, and what makes the model's units of the file's: `transforms` are in the file,
    `standardized` data are scaled before they go in.
    """
    values: dict[str, Any] = {
        "config": None if model.config is None else model.config.resolved(),
        "classes": _classes(model),
        "side": {name: model.schema.side[name]._asdict() for name in model.inputs},
        "columns": [column.name for column in model.schema.columns],
        "channels": model.schema.channels,
        "scaling": _scaling(model),
    }
    texts = {f"genkit.{key}": json.dumps(value, ensure_ascii=True) for key, value in values.items() if value}
    return {"genkit.version": metadata.version("genkit-torch"), **texts}


def _classes(model: Model) -> tuple[str, ...] | None:
    labels = model.schema.side.get("labels")
    return model.data.classes if model.data is not None else None if labels is None else labels.names


def _scaling(model: Model) -> dict[str, Any] | None:
    if model.data is None:
        return None
    standardized = None if model.data.scaling is None else model.data.scaling.model_dump(mode="json")
    values = {"range": model.data.range, "bytes": "x / 255", "transforms": model.data.transforms}
    return {**values, "standardized": standardized}
