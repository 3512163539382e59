"""The report of several runs: what differs between them, their figures side by side, curves and pictures."""

from __future__ import annotations

import math
import shlex
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from genkit.errors import GenkitWarning, in_a_line
from genkit.evaluation.descriptions import LEGEND, Figure
from genkit.evaluation.figure_tables import MISSING
from genkit.interfaces import NATS, Description
from genkit.model.model import Model
from genkit.pages import page
from genkit.pages.charts import Chart, Line, number
from genkit.pages.images import Picture, picture, picture_of
from genkit.pictures import plots
from genkit.pictures.mosaic import Pixels
from genkit.pictures.saving import save
from genkit.record.directory import RunDirectory
from genkit.record.scores import EpochRecord
from genkit.record.signals import Signals
from genkit.record.verdict import Verdict, verdict
from genkit.runs.comparison import Compared, Entry
from genkit.runs.comparison_page import NO_LATENTS, rebuilt, sampled
from genkit.settings.differences import varying
from genkit_report import curves
from genkit_report.run_page import PACKAGE, value_text


class Cell(NamedTuple):
    """A figure of a model in a table."""

    text: str
    is_best: bool


class Row(NamedTuple):
    """A figure of all models."""

    about: Description
    cells: Sequence[Cell]


class Gallery(NamedTuple):
    """A picture of each model, or the reason why there is none."""

    title: str
    sentence: str
    cells: Sequence[tuple[str, Picture | str]]
    """The name of each model, with its picture."""


def write(compared: Compared, path: Path) -> Path:
    """Write the report of several models as one page in HTML; raises RunError where it cannot be written."""
    return page.write(path, text(compared, path))


def text(compared: Compared, path: Path) -> str:
    """The report of several models as HTML.

    Args:
        compared: the models, with their figures.
        path: the file that the page will be, for the command that writes it again.
    """
    entries, models = compared.comparison.entries, compared.models
    histories = {entry.name: _history(entry) for entry in entries}
    options = _varying(models)
    rows = list(_rows(compared))
    charts = _charts(histories, entries)
    sections = {"differences": "Differences", "figures": "Figures", "curves": "Curves", "pictures": "Pictures"}
    shown = {"differences": bool(options), "curves": bool(charts)}
    return page.render(
        PACKAGE,
        "comparison.html.j2",
        names=[entry.name for entry in entries],
        data=_source(models),
        verdicts=[
            _verdict(entry, model, compared, histories[entry.name])
            for entry, model in zip(entries, models, strict=True)
        ],
        sections=[(key, label) for key, label in sections.items() if shown.get(key, True)] + [("repeat", "Repeat")],
        varying=options,
        rows=rows,
        count=entries[0].evaluation.count,
        floor=compared.comparison.floor.count,
        features=compared.comparison.features,
        legend=LEGEND,
        likelihoods=_likelihoods(models),
        own_units=[(entry.name, entry.evaluation.own_units) for entry in entries if entry.evaluation.own_units],
        has_transforms=any(len(model.transforms) for model in models),
        charts=charts,
        galleries=_galleries(compared),
        commands=[
            shlex.join(["genkit", "compare", *map(_typed, (entry.path for entry in entries)), "--out", path.name])
        ],
    )


def _typed(path: str) -> str:
    """A run as a command names it; without the folders above the working directory."""
    own = Path(path).absolute()
    return str(own.relative_to(Path.cwd())) if own.is_relative_to(Path.cwd()) else own.name


def _history(entry: Entry) -> Sequence[EpochRecord]:
    return RunDirectory(Path(entry.path)).history() if Path(entry.path).is_dir() else ()


def _source(models: Sequence[Model]) -> str:
    assert models[0].data is not None
    return models[0].data.source


def _verdict(entry: Entry, model: Model, compared: Compared, history: Sequence[EpochRecord]) -> tuple[str, Verdict]:
    keeps_best = model.config is not None and model.config.training.keep == "best"
    signals = Signals(history, entry.evaluation, model.data, compared.data, keeps_best)
    return entry.name, verdict(signals)


def _varying(models: Sequence[Model]) -> list[tuple[str, ...]]:
    """The options that differ between the models, with the value of each."""
    configs = [{} if model.config is None else model.config.resolved() for model in models]
    return [(path, *map(value_text, values)) for path, values in varying(configs).items()]


def _rows(compared: Compared) -> Iterable[Row]:
    """The figures that a model has, each with the values of all and of the floor."""
    comparison, metrics = compared.comparison, compared.metrics
    columns = [{each.key: each for each in entry.ranked(metrics)} for entry in comparison.entries]
    floor = {each.key: each for each in comparison.of_floor()}
    is_same_density = len(_likelihoods(compared.models)) == 1
    for key, about in comparison.rows(metrics).items():
        values = [column[key].value for column in columns if key in column and math.isfinite(column[key].value)]
        is_ranked = len(values) > 1 and (is_same_density or not about.of_density)
        choice = {"higher": max, "lower": min, None: None}[about.better]
        best = choice(values) if choice is not None and is_ranked else None
        cells = [_cell(column.get(key), best) for column in columns]
        yield Row(about, [*cells, _cell(floor.get(key), None)])


def _likelihoods(models: Sequence[Model]) -> list[str]:
    return sorted({model.config.likelihood.name for model in models if model.config is not None})


def _cell(figure: Figure | None, best: float | None) -> Cell:
    if figure is None:
        return Cell(MISSING, False)
    return Cell(number(figure.value, figure.about.form), figure.value == best)


def _charts(histories: Mapping[str, Sequence[EpochRecord]], entries: Sequence[Entry]) -> list[Chart]:
    charts = curves.of_several(histories)
    shares = {entry.name: sorted(entry.evaluation.kl_per_latent or (), reverse=True) for entry in entries}
    most = max(map(len, shares.values()))
    if most > 1:
        lines = [
            Line(name, [*kl, *[None] * (most - len(kl))], style)
            for style, (name, kl) in enumerate(shares.items())
            if kl
        ]
        sentence = "What each latent says of a datum, the largest first. One near 0 is not used."
        charts.append(Chart("KL of each latent", lines, range(1, most + 1), "latent", NATS, sentence))
    return charts


def _galleries(compared: Compared) -> list[Gallery]:
    """The pictures of each kind that at least one model has."""
    held_out, entries = compared.data.split("test"), compared.comparison.entries
    kinds: dict[str, tuple[str, Callable[[Model], Pixels | Picture | str]]] = {
        "Samples": ("What each model generates, for z from its prior.", sampled),
        "Reconstructions": (
            "The same held-out data, and below each what comes back.",
            lambda model: rebuilt(model, held_out),
        ),
        "Latents": (
            "The same held-out data in latent space: a dot for the posterior mean of each.",
            lambda model: _latents(model, compared),
        ),
    }
    galleries = []
    for title, (sentence, draw) in kinds.items():
        cells = [
            (entry.name, _drawn(draw, model, entry.name, f"{title} of {entry.name}. {sentence}"))
            for entry, model in zip(entries, compared.models, strict=True)
        ]
        if any(isinstance(cell, Picture) for _, cell in cells):
            galleries.append(Gallery(title, sentence, cells))
    return galleries


def _drawn(draw: Callable[[Model], Pixels | Picture | str], model: Model, name: str, alt: str) -> Picture | str:
    """A picture of a model, or why there is none; one that fails is a warning (GenkitWarning), and its reason."""
    try:
        drawn = draw(model)
    except Exception as error:
        reason = f"could not be drawn: {in_a_line(error)}"
        warnings.warn(f"{alt.partition('.')[0]} {reason}", GenkitWarning, stacklevel=2)
        return reason
    if isinstance(drawn, Picture):
        return replace(drawn, alt=alt)
    return drawn if isinstance(drawn, str) else picture_of(drawn, name, alt)


def _latents(model: Model, compared: Compared) -> Picture | str:
    if model.encoder is None:
        return NO_LATENTS
    figure = plots.latents(model, compared.data.split("test"), compared.data.classes)
    with tempfile.TemporaryDirectory() as folder:
        path = save(figure, Path(folder) / "latents.png")
        return picture(path, "latents", "")
