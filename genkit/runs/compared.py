"""What a comparison gives: models with their costs and figures, as a table for the terminal and for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from genkit.data.dataset import Dataset
from genkit.evaluation.descriptions import LEGEND, Figure, descriptions, figures
from genkit.evaluation.evaluations import Evaluation
from genkit.evaluation.figure_tables import Column, shown, table, texts_of
from genkit.evaluation.metrics import descriptions as of_metrics
from genkit.evaluation.metrics import figures as figures_of_metrics
from genkit.evaluation.sample_quality import SampleQuality
from genkit.interfaces import Description, Metric
from genkit.model.model import Model
from genkit.settings.differences import text_of
from genkit.text import printable

OPTION = "options."
"""What stands before the path of an option in its key in a table."""
DIFFERS = "An option of the config by which the models differ."
LONGEST = 24
"""The largest number of characters of an option's value in a table."""


@dataclass(frozen=True)
class Entry:
    """One model of a comparison."""

    name: str
    """The name of the run, or its path where two have the same name."""
    path: str
    """The path of the run or of its weights."""
    parameters: Annotated[int, Description("parameters", sentence="All parameters, a critic's included.", form=",d")]
    epochs: Annotated[int | None, Description("epochs", sentence="Passes over the training data.", form=",d")]
    """None, like the next two, for weights without their run."""
    seconds: Annotated[
        float | None,
        Description("training time", "seconds", sentence="On the machine of the run.", form=",.0f"),
    ]
    examples_per_second: Annotated[
        float | None, Description("training rate", "data per second", sentence="The median over epochs.", form=",.0f")
    ]
    evaluation: Evaluation
    """The figures of the test split."""
    samples: SampleQuality | None
    """The quality of the samples; None where the sampler has no prior to draw from."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options of the config by which the models differ, by their paths such as `loss.kl.weight`."""

    def ranked(self, metrics: Iterable[Metric.Config] = ()) -> list[Figure]:
        """The figures of the model, those of metrics included; densities that rank no models are left out."""
        each = [*figures(asdict(self), Entry), *figures_of_metrics(self.evaluation.metrics, metrics)]
        return [one for one in each if self.evaluation.own_units is None or not one.about.of_density]


@dataclass(frozen=True)
class Comparison:
    """Models of the same data, with the figures of real data in place of samples."""

    entries: tuple[Entry, ...]
    """The models, in the order of their paths."""
    floor: SampleQuality
    """The figures of training data in place of samples: the best that one can expect at this N."""
    features: str
    """The features in which samples and data are compared, as text."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        values = asdict(self)
        for entry in values["entries"]:
            del entry["evaluation"]["described"]
        return values

    def __repr__(self) -> str:
        return (
            f"Comparison({', '.join(repr(entry.name) for entry in self.entries)}; {self.floor.count:,} samples of each)"
        )

    def columns(self, metrics: Iterable[Metric.Config] = ()) -> list[Column]:
        """A column for each model, its options that differ before its figures, and one for the floor.

        Densities that rank no models are left out.
        """
        columns = []
        for entry in self.entries:
            options = {f"{OPTION}{path}": printable(text_of(value), LONGEST) for path, value in entry.options.items()}
            columns.append(Column(printable(entry.name), options | texts_of(entry.ranked(metrics))))
        return [*columns, Column("floor", texts_of(self.of_floor()))]

    def of_floor(self) -> list[Figure]:
        """The figures of training data in place of samples."""
        return figures({"samples": asdict(self.floor)}, Entry)

    def rows(self, metrics: Iterable[Metric.Config] = ()) -> dict[str, Description]:
        """The descriptions of the options that differ and of the figures that some model has, by their keys."""
        differing = dict.fromkeys(path for entry in self.entries for path in entry.options)
        options = {f"{OPTION}{path}": Description(printable(path), sentence=DIFFERS) for path in differing}
        there = {key for column in self.columns(metrics) for key in column.texts}
        all_figures = descriptions(Entry) | of_metrics(metrics)
        return options | {key: about for key, about in all_figures.items() if key in there}

    def notes(self) -> list[str]:
        """What has to be said of the figures, in lines."""
        lines = [
            f"{LEGEND}; figures are of the test split",
            f"{self.floor.count:,} samples against as many test data, in {self.features}",
            "floor: training data in place of samples, about the best that a model can reach",
        ]
        units = "its densities are in the units of {}, which has no log|det J|, and rank no models"
        own = [(entry.name, entry.evaluation.own_units) for entry in self.entries]
        return [*lines, *(f"{printable(name)}: {units.format(each)}" for name, each in own if each is not None)]

    def html(self, metrics: Iterable[Metric.Config] = ()) -> str:
        """The figures as a table, and the notes."""
        metrics = list(metrics)
        notes = "".join(f"<p>{shown(line)}</p>" for line in self.notes())
        return table("comparison", self.columns(metrics), self.rows(metrics)) + notes

    def _repr_html_(self) -> str:
        """The figures as a table, for notebooks."""
        return self.html()


@dataclass(frozen=True)
class Compared:
    """A comparison with its models and data, for pictures."""

    comparison: Comparison
    """The figures."""
    models: tuple[Model, ...]
    """The models, in the order of the comparison's entries."""
    data: Dataset
    """The data that they share."""
    metrics: tuple[Metric.Config, ...] = ()
    """The metrics that every model was measured by, where it has what they need."""

    def __repr__(self) -> str:
        return repr(self.comparison).replace("Comparison", "Compared", 1)

    def _repr_html_(self) -> str:
        """The figures as a table, those of metrics included, for notebooks."""
        return self.comparison.html(self.metrics)
