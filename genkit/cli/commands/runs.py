"""genkit runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from genkit.cli import tables
from genkit.cli.app import INSPECT, Json, app, fail, say
from genkit.text import printable

if TYPE_CHECKING:
    from genkit.record.overview import Overview

WIDEST, GAP = 79, 2
"""The largest number of columns of the table, and the number of blanks between two of them."""
NAME, CHANGES = 26, 16
"""The width of the column of names from which it is folded, and the least width that is left for what changed."""
KEYS = ("age", "name", "state", "epochs", "loss")
"""What runs can be sorted by beside their figures and their options."""
PARTS = ("elbo", "reconstruction", "kl", "bits_per_dim", "dispersion", "log_det")
"""Figures that the table leaves out beside the ELBO, which they are parts or other forms of."""


class _Column(NamedTuple):
    """A column of the table."""

    head: str
    cells: list[str]

    @property
    def width(self) -> int:
        """The width of its longest text."""
        return max(map(len, (self.head, *self.cells)))

    @property
    def longest_word(self) -> int:
        """The width of its longest word."""
        return max((len(word) for cell in self.cells for word in cell.split()), default=0)


@app.command(rich_help_panel=INSPECT)
def runs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the runs, or one run.")] = Path("runs"),
    sort: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="What to sort by: age, name, state, epochs, loss, elbo or another figure (from the highest on), or an "
            "option such as latent; with a minus in front the other way round.",
        ),
    ] = "age",
    as_json: Json = False,
) -> None:
    """List runs: their state, what changed from the config that each was started from, and their figures."""
    from genkit.record.overview import overviews

    each_run = _sorted(overviews(folder), sort)
    if as_json:
        tables.print_json([each.to_json() for each in each_run])
    elif each_run:
        show(each_run, folder)
    else:
        say(f"{folder}: there are no runs")


def _sorted(each_run: list[Overview], key: str) -> list[Overview]:
    """The runs by a key; those that have no value come last."""
    from genkit.record.overview import figure_keys
    from genkit.settings.base import nearest

    turned, key = key.startswith("-"), key.removeprefix("-")
    options = [name for each in each_run for label in each.labels.items() for name in reversed(label)]
    keys = list(dict.fromkeys([*KEYS, *figure_keys(each_run), *options]))
    if each_run and key not in keys:
        fail(f"--sort {key}: the runs have no such figure, and no such option that changed; {nearest(key, keys)}")
    ranks = [(_rank(each, key), each) for each in each_run]
    there = sorted(((rank, each) for rank, each in ranks if rank is not None), key=lambda one: one[0], reverse=turned)
    return [each for _, each in there] + [each for rank, each in ranks if rank is None]


def _rank(run: Overview, key: str) -> tuple[bool, Any] | None:
    """What a run is sorted by, numbers before text; None: it has no such value."""
    if key in run.figures:
        return False, -run.figures[key]
    value: Any = {
        "age": None if run.started is None else -run.started,
        "name": run.path.name,
        "state": run.word,
        "epochs": run.epochs,
        "loss": run.loss,
    }.get(key)
    changed = [change.after for change in run.changes if key in (change.path, run.labels[change.path])]
    value = changed[0] if changed else value
    is_number = isinstance(value, int | float)
    return None if value is None else (not is_number, value if is_number else str(value))


def show(each_run: Sequence[Overview], folder: Path) -> None:
    """Print the table of some runs; where it is too narrow, figures of metrics are left out first, and the age next.

    Args:
        each_run: the runs in their order.
        folder: the folder whose names are left out in front of theirs.
    """
    console = tables.console()
    width = min(console.width, WIDEST)
    names = [_name(each, folder) for each in each_run]
    first = [_Column("run", names), _Column("age", [_age(each) for each in each_run])]
    first += [
        _Column("state", [each.word for each in each_run]),
        _Column("ELBO", [_objective(each) for each in each_run]),
    ]
    changes = _Column("changed", [_changes(each) for each in each_run])
    least = min(changes.width, CHANGES)
    if width - sum(min(column.width, NAME) + GAP for column in first) < least:
        first.pop(1)
    room = width - sum(min(column.width, NAME) + GAP for column in first)
    least = min(changes.width, max(CHANGES, min(NAME, room, changes.longest_word)))
    taken = sum(column.width + GAP for column in first[1:])
    longest = max(min(first[0].width, NAME), min(first[0].width, width - taken - GAP - least))
    taken += longest + GAP
    figures: list[_Column] = []
    for column in _metrics(each_run):
        taken += column.width + GAP
        if width - taken >= least:
            figures.append(column)
    order = [*first[:1], changes, *first[1:], *figures]
    table = tables.table([column.head for column in order[:2]], [column.head for column in order[2:]])
    table.columns[0].width = longest
    rest = width - longest - GAP - sum(column.width + GAP for column in order[2:])
    table.columns[1].width = max(len(changes.head), min(changes.width, rest))
    for cells in zip(*(column.cells for column in order), strict=True):
        tables.add_row(table, *cells)
    console.print(table, width=width)
    for note in _notes(each_run):
        console.print(note, width=width)


def _name(run: Overview, folder: Path) -> str:
    return str(run.path.relative_to(folder)) if run.path != folder else run.path.name or str(run.path)


def _age(run: Overview) -> str:
    """The time since a run was started: 12 s, 5 min, 3 h, 8 d."""
    if run.started is None:
        return ""
    seconds = max(0.0, time.time() - run.started)
    for length, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= length:
            return f"{int(seconds / length)} {unit}"
    return f"{int(seconds)} s"


def _objective(run: Overview) -> str:
    """The ELBO of a run, or the loss of one without; a mark says that it is of no test split, or in other units."""
    elbo = run.figures.get("elbo")
    if elbo is None:
        return "" if run.loss is None else f"loss {run.loss:,.4g}*"
    return f"{elbo:,.2f}" + ("" if run.split == "test" else "*") + ("" if run.own_units is None else "†")


def _changes(run: Overview) -> str:
    from genkit.settings.differences import text_of

    changed = " ".join(f"{run.labels[change.path]}={text_of(change.after)}" for change in run.changes)
    return " ".join(filter(None, (changed, f"({run.problem})" if run.problem else "")))


def _metrics(each_run: Sequence[Overview]) -> list[_Column]:
    """The figures of metrics and others, those that most runs have first."""
    from genkit.record.overview import figure_keys

    keys = [key for key in figure_keys(each_run) if key not in PARTS]
    of_metrics = sorted(keys, key=lambda key: key in ("unexplained", "active_units") or key.startswith("code."))
    return [_Column(key, [_number(run.figures.get(key)) for run in each_run]) for key in of_metrics]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,d}" if isinstance(value, int) else f"{value:.4g}"


def _notes(each_run: Sequence[Overview]) -> list[str]:
    """What the marks mean."""
    lines = []
    if any("*" in _objective(run) for run in each_run):
        lines.append("* of the last epoch, on validation data if any; else of the test split")
    for transform in dict.fromkeys(run.own_units for run in each_run if run.own_units is not None):
        lines.append(f"† in the units of {printable(transform)}, which has no log|det J|: it ranks no models")
    return lines
