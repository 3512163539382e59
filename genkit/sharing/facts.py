"""What is known of a trained model, from its run or from its file alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genkit.config import RunConfig
from genkit.data.dataset import DataSignature
from genkit.errors import RunError
from genkit.model.model import Model
from genkit.record.directory import RunDirectory
from genkit.record.scores import EpochRecord
from genkit.registry.provenance import PluginRecord
from genkit.sharing import hub, weights

FIGURES = {
    "elbo": "evidence lower bound (ELBO)",
    "reconstruction": "reconstruction, E[−log p(x|z)]",
    "kl": "KL(q(z|x) ‖ p(z))",
    "bits_per_dim": "bits per dimension",
    "active_units": "active latent dimensions",
    "unexplained": "fraction of variance unexplained",
}
UNITLESS = ("bits_per_dim", "active_units", "unexplained")
"""The figures that are not in nats per datum."""


@dataclass(frozen=True)
class Facts:
    """A trained model, and what its run says of it."""

    model: Model
    config: RunConfig
    data: DataSignature
    plugins: tuple[PluginRecord, ...]
    """As they were when the model was made."""
    evaluation: dict[str, Any] | None = None
    """None for weights without their run, and where there was no test split; as the next two."""
    history: Sequence[EpochRecord] = ()
    environment: dict[str, Any] | None = None
    pictures: tuple[Path, ...] = ()

    def figures(self) -> list[tuple[str, str, float]]:
        """The figures of the test split that the model has: key, name, value."""
        found = self.evaluation or {}
        return [(key, name, found[key]) for key, name in FIGURES.items() if found.get(key) is not None]


def gather(source: str | Path) -> Facts:
    """What is known of a run, or of a model file alone.

    Raises:
        RunError: a file of the run is damaged.
        GenkitError: as loading the model does.
    """
    model = weights.load(source)
    assert model.config is not None
    assert model.data is not None
    plugins = weights.read_header(weights.locate(source)).plugins
    if hub.is_address(source) or not Path(source).is_dir():
        return Facts(model, model.config, model.data, plugins)
    run = RunDirectory(Path(source))
    evaluation, environment = _read(run.evaluation), _read(run.environment)
    pictures = tuple(sorted(run.pictures.glob("*.png")))
    return Facts(model, model.config, model.data, plugins, evaluation, run.history(), environment, pictures)


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: is damaged ({error}); what it says can be done without: remove it") from None
    if not isinstance(values, dict):
        raise RunError(f"{path}: is damaged, it holds no JSON object; what it says can be done without: remove it")
    return values
