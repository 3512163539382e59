"""A run as an object that plugins may follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from genkit.config import RunConfig
from genkit.data.dataset import Dataset
from genkit.evaluation.descriptions import Figure
from genkit.evaluation.evaluations import Evaluation
from genkit.evaluation.figure_tables import shown
from genkit.model.model import Model
from genkit.record.diagnosis import Note, diagnose
from genkit.record.directory import RunDirectory
from genkit.record.scores import EpochRecord
from genkit.record.signals import Signals
from genkit.record.verdict import Verdict, verdict
from genkit.speed.compiled import Plan


@dataclass
class Run:
    """A run: its config, its directory, its data and model, and its results so far."""

    config: RunConfig
    """Every option, defaults included."""
    directory: RunDirectory
    """The files of the run; `directory.path` is where they are."""
    data: Dataset
    """The data in their splits: `data.train`, `data.validation`, `data.test`."""
    model: Model
    """The model, which is being trained, or trained."""
    history: list[EpochRecord] = field(default_factory=list)
    """The record of each whole epoch."""
    plan: Plan | None = None
    """Whether the steps are compiled, and why; None before training starts."""
    threads: str | None = None
    """What there is to say of the threads that it computes with; None: nothing."""
    kept: int | None = None
    """The epoch that the model's weights are of after training, where the best are kept; None: the last ones are."""
    evaluation: Evaluation | None = None
    """The figures of the test split, after training; None without a test split, and in all processes but the first of
    several, which alone evaluates, writes and draws."""

    def __repr__(self) -> str:
        """The name, how far it is, its loss, and its directory."""
        parts = [f"{self.config.name!r}", f"{len(self.history)} of {self.epochs} epochs", *self._result()]
        return f"Run({', '.join([*parts, f'path={str(self.directory.path)!r}'])})"

    def _result(self) -> Iterator[str]:
        """The ELBO of the test split, or the loss of the last epoch, where there is one."""
        if self.evaluation is not None and self.evaluation.elbo is not None:
            yield f"elbo={self.evaluation.elbo:.4g}"
        elif self.history:
            yield f"loss={self.history[-1].train.loss:.4g}"

    def _repr_html_(self) -> str:
        """The name and the directory, the figures of the test split, and the notes, for notebooks."""
        where = f"{len(self.history)} of {self.epochs} epochs, in {self.directory.path}"
        figures = "" if self.evaluation is None else self.evaluation._repr_html_()
        notes = "".join(f"<li>{shown(note.text)}</li>" for note in self.notes())
        return f"<p><b>{shown(self.config.name)}</b>: {shown(where)}</p>{figures}{notes and f'<ul>{notes}</ul>'}"

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
