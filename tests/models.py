"""A small model, of which tests change a part or two."""

from __future__ import annotations

from typing import Any

from genkit.interfaces import Schema, Shape
from genkit.model.building import build
from genkit.model.model import Model
from genkit.runs.opening import as_config

PARTS: dict[str, Any] = {
    "data": "digits",
    "encoder": {"name": "mlp", "hidden": [6]},
    "sampler": {"name": "gaussian", "latent": 2},
    "decoder": {"name": "mlp", "hidden": [6]},
    "likelihood": "gaussian",
    "loss": ["reconstruction", "kl"],
}
"""The values of its config."""
LINEAR: dict[str, Any] = {"encoder": {"name": "mlp", "hidden": []}, "decoder": {"name": "mlp", "hidden": []}}
"""The changes that make its posterior and its decoder an affine map each."""


def built(data: Schema | Shape, **changes: Any) -> Model:
    """The model for data of a schema or a shape, with the weights that torch's random state gives it."""
    return build(as_config({**PARTS, **changes}), data)
