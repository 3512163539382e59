"""genkit score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli.app import (
    USE,
    AcceptChanges,
    DataOverrides,
    Out,
    RunPath,
    Seed,
    SplitName,
    app,
    fail,
    lines_to_type,
    say,
)
from genkit.cli.data import opened

if TYPE_CHECKING:
    from torch import Tensor

    from genkit.data.dataset import Dataset
    from genkit.evaluation.detection import Threshold
    from genkit.evaluation.scoring import Scores
    from genkit.runs.new_data import Reopened

WIDE = 500
"""The largest number of values of a datum whose errors are columns of a table."""

Draws = Annotated[int, typer.Option(min=1, help="How many draws from q(z|x) per datum.")]
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="COLUMN",
        help="The column that is the anomaly score; by default negative_elbo, or reconstruction where there is no KL.",
        show_default=False,
    ),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=0.999,
        help="The share of the run's validation data that may count as anomalies: it sets the threshold of is_anomaly.",
    ),
]
Anomalous = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS[,CLASS]", help="The classes that are anomalies, for AUROC and average precision of the score."
    ),
]


@app.command(
    rich_help_panel=USE,
    epilog=lines_to_type("genkit score last --out scores.csv", "genkit score last data.path=new.csv --out scores.csv"),
)
def score(
    run: RunPath,
    out: Out,
    data: DataOverrides = None,
    split: SplitName = None,
    draws: Draws = 16,
    seed: Seed = 0,
    by: By = None,
    false_alarms: FalseAlarms = None,
    anomalous: Anomalous = None,
    accept_changes: AcceptChanges = False,
) -> None:
    """Write how unlikely each datum is, in the order of the source, with rows, ids, labels and classes.

    In nats per datum: negative_elbo, reconstruction, kl, and bound, the importance-weighted bound on −log p(x); then
    the squared error, whole and in parts, such as the columns of a table.
    """
    from genkit.cli import outputs
    from genkit.evaluation import detection, scoring

    outputs.check_out(out)
    reopened = opened(run, data, split, accept_changes)
    model, dataset, split, _ = reopened
    truth = None if anomalous is None else _anomalies(dataset, split, anomalous)
    usual = None if false_alarms is None else _usual(run, reopened, anomalous, accept_changes)
    scores = scoring.score(model, dataset, split, draws, seed, parts=_shows_parts(out, reopened))
    by = _column(scores, by)
    limit = None
    if usual is not None and false_alarms is not None:
        of_usual = scoring.score(model, usual, "validation", draws, seed, parts=False)
        limit = detection.threshold(of_usual.values[by], false_alarms)
    _write(out, reopened, scores, by, limit)
    say(out, *_lines(scores, by, draws))
    say(*_alarms(scores.values[by], limit), *_separation(scores.values[by], truth))


def _anomalies(data: Dataset, split: str, anomalous: str) -> Tensor:
    """Which data of a split are anomalies; ends where there are no labels, no such class, or one kind alone."""
    from genkit.errors import DataError
    from genkit.evaluation.detection import anomalies

    try:
        truth = anomalies(data.split(split), data.classes, anomalous.split(","))
    except DataError as error:
        fail(f"--anomalous {anomalous}: {error}")
    if truth.all() or not truth.any():
        what = "all are" if truth.all() else "none is"
        fail(
            f"--anomalous {anomalous}: of the {len(truth):,} data {what} of these classes; AUROC compares some of both"
        )
    return truth


def _usual(run: Path, reopened: Reopened, anomalous: str | None, accept_changes: bool) -> Dataset:
    """The data of the training with those of its validation split that are no anomalies as far as labels say."""
    from genkit.errors import DataError, GenkitError
    from genkit.evaluation.detection import anomalies
    from genkit.runs.new_data import own_data

    try:
        data = own_data(run, reopened, accept_changes)
        split = data.split("validation")
    except GenkitError as error:
        fail(f"--false-alarms: the threshold is fitted to the validation data of the training: {error}")
    if anomalous is None or split.labels is None:
        return data
    try:
        usual = ~anomalies(split, data.classes, anomalous.split(","))
    except DataError:  # the training has no such class
        return data
    if not usual.any():
        fail(f"--false-alarms: all validation data of the training are of the classes {anomalous}; none is usual")
    return data._replace(validation=split.rows(usual.nonzero().flatten()))


def _shows_parts(out: Path, reopened: Reopened) -> bool:
    """Whether errors in parts go into the file, which holds as many values as the data.

    Each has a column there, or the file holds arrays of any shape; and the data are in memory, not read where they are.
    """
    from genkit.interfaces import Reader

    shape = reopened.model.shape
    fits = out.suffix not in (".csv", ".parquet") or (len(shape) < 3 and shape[-1] <= WIDE)
    return fits and not isinstance(reopened.data.train.x, Reader)


def _column(scores: Scores, by: str | None) -> str:
    """The name of the anomaly score; ends where the model has no such column."""
    if by is not None and by not in scores.values:
        fail(f"--by {by}: the model gives no such score; it gives {', '.join(scores.values)}")
    return by or scores.by


def _write(out: Path, reopened: Reopened, scores: Scores, by: str, limit: Threshold | None) -> None:
    """Write the scores in the order of the source: the anomaly score, the others, identity, and errors in parts."""
    from genkit.cli import outputs
    from genkit.data.identity import file_order, identity

    _, data, split, _ = reopened
    columns = {by: scores.values[by], **scores.values}
    if limit is not None:
        columns["is_anomaly"] = scores.values[by] > limit.value
    order = file_order(data, split)
    whole, parts = ({name: each[order].numpy() for name, each in some.items()} for some in (columns, scores.errors))
    outputs.write(out, {**whole, **identity(data, split), **parts})


def _lines(scores: Scores, by: str, draws: int) -> list[str]:
    """What the score is, and in which units."""
    if by == "squared_error":
        return [f"the score is {by}: ‖x − x̂‖² in the model's units"]
    units = "the data's own units" if scores.own_units is None else f"the units of {scores.own_units}"
    return [f"the score is {by}: nats per datum, {draws:,} draws, in {units}"]


def _alarms(scores: Tensor, limit: Threshold | None) -> list[str]:
    """The threshold with its false-alarm rate, and the share of anomalies; nothing where there is none."""
    if limit is None:
        return []
    share = (scores > limit.value).double().mean()
    few = "" if limit.alarms else "; it is the greatest of their scores, as they are too few, or alike, for a lower one"
    return [
        f"threshold {limit.value:,.6g}: {limit.alarms:,} of {limit.fitted:,} validation data are above it "
        f"({limit.rate:.2%}){few}",
        f"anomalies: {int((scores > limit.value).sum()):,} of {len(scores):,} data ({float(share):.2%})",
    ]


def _separation(scores: Tensor, truth: Tensor | None) -> list[str]:
    """How well the score tells anomalies apart; nothing where nobody says which they are."""
    from genkit.evaluation.detection import separation

    if truth is None:
        return []
    figures = separation(scores, truth)
    counts = f"{figures.anomalies:,} anomalies, {figures.others:,} others"
    return [f"AUROC {figures.auroc:.4f}, average precision {figures.average_precision:.4f}: {counts}"]
