"""genkit evaluate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genkit.cli import tables
from genkit.cli.app import (
    INSPECT,
    AcceptChanges,
    DataOverrides,
    Json,
    Metrics,
    RunPath,
    SplitName,
    app,
    lines_to_type,
    say,
)
from genkit.cli.data import opened

if TYPE_CHECKING:
    from genkit.interfaces import Description
    from genkit.record.scores import EpochRecord

LONG = 20
"""The number of values above which a list is shown by its least, mean and greatest value."""

WIDTH = 22
"""The least width of the column of keys."""


@app.command(
    rich_help_panel=INSPECT,
    epilog=lines_to_type("genkit evaluate last", "genkit evaluate vae-digits --split validation --metric nll"),
)
def evaluate(
    run: RunPath,
    data: DataOverrides = None,
    split: SplitName = None,
    draws: Annotated[int, typer.Option(min=1, help="How many draws from q(z|x) per datum.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="The seed of the draws; by default the run's.")] = None,
    metric: Metrics = None,
    as_json: Json = False,
    accept_changes: AcceptChanges = False,
) -> None:
    """Estimate the ELBO and its parts, in nats per datum, and the metrics of the config and of --metric."""
    from genkit.evaluation.figures import evaluate as figures_of
    from genkit.evaluation.metrics import descriptions, measure_each, named, usable
    from genkit.record.diagnosis import diagnose
    from genkit.record.signals import Signals
    from genkit.runs.metrics import chosen, missed, unasked

    model, dataset, split, are_new = opened(run, data, split, accept_changes)
    assert model.config is not None
    metrics = chosen(model.config, usable(model.config.metrics), metric or ())
    if not are_new:  # what is fitted to data that are all measured says nothing of others
        metrics = (*metrics, *unasked(model, dataset, split, metrics))
    seed = model.config.seed if seed is None else seed
    evaluation = figures_of(model, dataset, split, draws, seed)
    values, errors = measure_each(model, dataset, named(metrics), split, seed)
    evaluation.metrics.update(values)
    missed(errors, metric or ())
    figures = evaluation.to_json()
    keeps_best = model.config.training.keep == "best"
    signature = None if data else model.data
    notes = diagnose(Signals(_history(run), evaluation, signature, dataset, keeps_best))
    if as_json:
        tables.print_json(figures | {"notes": [note._asdict() for note in notes]})
        return
    show(figures, descriptions(metrics) | {figure.key: figure.about for figure in evaluation.figures(metrics)})
    for note in notes:
        say(tables.note_line(note))


def _history(run: Path) -> list[EpochRecord]:
    """The history of a run; none of a model file."""
    from genkit.record.directory import RunDirectory

    return RunDirectory(run).history() if run.is_dir() else []


def show(values: dict[str, Any], metrics: dict[str, Description] | None = None) -> None:
    """Print a line per value; for a figure, its name, its unit and its better direction too.

    Args:
        values: an evaluation as plain values.
        metrics: the descriptions of the figures of its metrics, and others that replace usual ones.
    """
    from genkit.evaluation.descriptions import LEGEND, descriptions
    from genkit.evaluation.figures import Evaluation

    about, lines = descriptions(Evaluation) | (metrics or {}), list(_flat(values))
    width = max(WIDTH, *(len(key) for key, _ in lines))
    for key, value in lines:
        say(f"{key:{width}} {_text(value, about.get(key))}".rstrip())
    say(LEGEND)


def _flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None:
            yield above + key, value


def _text(value: Any, about: Description | None) -> str:
    if about is not None:
        return f"{format(value, about.form):>10}  {about.title} {about.arrow}"
    if isinstance(value, list) and len(value) > LONG:
        return f"{min(value):.3f} to {max(value):.3f}, mean {sum(value) / len(value):.3f}"
    if isinstance(value, list):
        return " ".join(f"{number:.3f}" for number in value)
    return f"{value:>10}"
