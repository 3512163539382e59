"""A run as an object that plugins may follow."""

from __future__ import annotations

from dataclasses import dataclass, field

from genkit.config import RunConfig
from genkit.data.dataset import Dataset
from genkit.evaluation.descriptions import Figure
from genkit.evaluation.figures import Evaluation
from genkit.model.model import Model
from genkit.record.diagnosis import Note, Signals, diagnose
from genkit.record.directory import RunDirectory
from genkit.record.scores import EpochRecord
from genkit.record.verdict import Verdict, verdict
from genkit.speed.compiled import Plan


@dataclass
class Run:
    """A run: its config, its directory, its data and model, and its results so far."""

    config: RunConfig
    directory: RunDirectory
    data: Dataset
    model: Model
    history: list[EpochRecord] = field(default_factory=list)
    plan: Plan | None = None
    """Whether the steps are compiled, and why; None before training starts."""
    threads: str | None = None
    """What there is to say of the threads that it computes with; None: nothing."""
    kept: int | None = None
    """The epoch that the model's weights are of after training, where the best are kept; None: the last ones are."""
    evaluation: Evaluation | None = None
    """The figures of the test split, after training; None without a test split, and in all processes but the first of
    several, which alone evaluates, writes and draws."""

    @property
    def epochs(self) -> int:
        """The number of epochs of the whole training."""
        return self.config.training.epochs_over(len(self.data.train.x))

    def figures(self) -> list[Figure]:
        """The figures of the test split, those of the config's metrics included; none before the evaluation."""
        return [] if self.evaluation is None else self.evaluation.figures(self.config.metrics)

    def notes(self, during: bool = False) -> list[Note]:
        """What the rules of docs/diagnosis.md say of the run; `during`: of one that still goes on."""
        return diagnose(self._signals(), during)

    def verdict(self) -> Verdict:
        """Whether the model is alive, in words."""
        return verdict(self._signals())

    def _signals(self) -> Signals:
        keeps_best = self.config.training.keep == "best"
        return Signals(self.history, self.evaluation, self.model.data, self.data, keeps_best)
