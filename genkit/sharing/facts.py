"""Facts about a trained model, from its run or from its file alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, FiniteFloat, TypeAdapter, ValidationError

from genkit.config import RunConfig
from genkit.data.dataset import DataSignature
from genkit.errors import RunError
from genkit.evaluation.descriptions import Figure, figures
from genkit.evaluation.figures import Evaluation
from genkit.files import strict_json
from genkit.model.model import Model
from genkit.record.diagnosis import Note
from genkit.record.diagnosis import diagnose as notes_of
from genkit.record.directory import RunDirectory
from genkit.record.scores import EpochRecord
from genkit.record.signals import Signals
from genkit.record.verdict import Verdict, verdict
from genkit.registry.provenance import PluginRecord
from genkit.sharing import hub, weights

FINITE = TypeAdapter(FiniteFloat)
EVALUATION = TypeAdapter(Evaluation)


@dataclass(frozen=True)
class Facts:
    """A trained model, with the files of its run."""

    model: Model
    config: RunConfig
    data: DataSignature
    plugins: tuple[PluginRecord, ...]
    """The records of the plugins that the model was made with."""
    evaluation: dict[str, Any] | None = None
    """The figures of the test split; None for weights without their run, and without a test split."""
    history: Sequence[EpochRecord] = ()
    environment: dict[str, Any] | None = None
    pictures: tuple[Path, ...] = ()

    def figures(self) -> list[Figure]:
        """The figures of the test split, without those that the model lacks."""
        if self.evaluation is None:
            return []
        return EVALUATION.validate_python(self.evaluation).figures(self.config.metrics)

    def notes(self) -> list[Note]:
        """What the rules of the diagnosis say."""
        return notes_of(self._signals())

    def verdict(self) -> Verdict:
        """Whether the model is alive, in words."""
        return verdict(self._signals())

    def _signals(self) -> Signals:
        evaluation = None if self.evaluation is None else EVALUATION.validate_python(self.evaluation)
        keeps_best = self.config.training.keep == "best"
        return Signals(self.history, evaluation, self.data, keeps_best=keeps_best)


def gather(source: str | Path) -> Facts:
    """The facts about a run, or about a model file alone.

    Raises:
        RunError: a file of the run is damaged.
        GenkitError: as loading the model does.
    """
    model = weights.load(source)
    assert model.config is not None
    assert model.data is not None
    if hub.is_address(source) or not Path(source).is_dir():
        return Facts(model, model.config, model.data, weights.read_header(weights.locate(source)).plugins)
    return of_run(RunDirectory(Path(source)), model)


def of_run(run: RunDirectory, model: Model) -> Facts:
    """The facts about a run whose model is at hand; raises RunError where a file of the run is damaged."""
    assert model.config is not None
    assert model.data is not None
    plugins = weights.read_header(weights.locate(run.path)).plugins
    evaluation, environment = _read(run.evaluation, _Evaluated), _read(run.environment, _Environment)
    pictures = tuple(sorted(run.pictures.glob("*.png")))
    return Facts(model, model.config, model.data, plugins, evaluation, run.history(), environment, pictures)


def diagnose(source: str | Path) -> list[Note]:
    """What the rules of docs/diagnosis.md say of a trained model, from the records of its run.

    Args:
        source: a run; or a model file or hf://USER/REPO, of which less is recorded.

    Raises:
        RunError: a file of the run is damaged.
        GenkitError: as loading the model does.
    """
    return gather(source).notes()


class _Evaluated(BaseModel, strict=True):
    """What a card says of an evaluation beside its figures."""

    split: str
    count: int
    draws: int
    metrics: dict[str, dict[str, FiniteFloat]] = {}


class _Environment(BaseModel, strict=True):
    """What a card says of an environment."""

    versions: dict[str, str] = {}


def _read(path: Path, form: type[BaseModel]) -> dict[str, Any] | None:
    """The values of a JSON file of a run; None where there is no such file."""
    if not path.is_file():
        return None
    try:
        values: dict[str, Any] = strict_json.read(path)
        form.model_validate(values)
        if form is _Evaluated:
            EVALUATION.validate_python(values)
        for figure in figures(values, Evaluation) if form is _Evaluated else ():
            FINITE.validate_python(figure.value)
    except (ValidationError, ValueError, OSError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:3])
        raise RunError(f"{path}: is damaged ({reason}); what it says can be done without: remove it") from None
    return values
