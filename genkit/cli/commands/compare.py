"""genkit compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import extensions, tables
from genkit.cli.app import INSPECT, Json, Metrics, Seed, app, fail, say
from genkit.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from genkit.interfaces import Description, Metric
    from genkit.runs.comparison import Compared, Comparison

Column = tuple[str, dict[str, str]]
"""The head of a column, and the texts of its figures by their keys."""
GAP = 2
"""The number of blanks between columns."""


@app.command(rich_help_panel=INSPECT)
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|data.KEY=VALUE",
            help="Runs on the same data, and options of the data that replace those of every run.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page to write: .png has pictures alone, .html all of it.")] = Path(
        "compare.png"
    ),
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many samples to compare with as many data.")] = 10_000,
    seed: Seed = 0,
    metric: Metrics = None,
    as_json: Json = False,
) -> None:
    """Compare trained models: figures in a table; samples, reconstructions and latents on a page."""
    write = _writer(out)

    from genkit.runs.comparison import compare as compare_models

    paths = [run for run in runs if "=" not in run or Path(run).exists()]
    result = compare_models(paths, [run for run in runs if run not in paths], n, seed, metrics=metric or ())
    write(result, out)
    if as_json:
        tables.print_json(result.comparison.to_json())
    else:
        show(result.comparison, result.metrics)
        say(out)


def _writer(out: Path) -> Callable[[Compared, Path], object]:
    """The function that writes a page in the format of the file's suffix; one that is not known ends the command."""
    if out.suffix == ".png":
        from genkit.runs.comparison_page import draw

        return draw
    formats = extensions.formats()
    if out.suffix not in formats:
        known = " or ".join([".png", *formats])
        fail(f"--out {out}: the page is a {known}; call it {out.with_suffix('.png').name}")
    command = formats[out.suffix]
    function = extensions.load(command)

    def write(compared: Compared, path: Path) -> None:
        with extensions.naming(command, function):
            function(compared, path)

    return write


def show(comparison: Comparison, metrics: Sequence[Metric.Config] = ()) -> None:
    """Print a table with a row per figure and a column per model, in pieces where it is too wide.

    Args:
        comparison: the models and their figures.
        metrics: the metrics that the models were measured by.
    """
    from genkit.evaluation.descriptions import LEGEND, descriptions, figures
    from genkit.evaluation.metrics import descriptions as of_metrics
    from genkit.evaluation.metrics import figures as figures_of_metrics
    from genkit.runs.comparison import Entry

    columns: list[Column] = []
    for entry in comparison.entries:
        each = [*figures(asdict(entry), Entry), *figures_of_metrics(entry.evaluation.metrics, metrics)]
        ranked = [one for one in each if entry.evaluation.own_units is None or not one.about.of_density]
        columns.append((printable(entry.name), {figure.key: figure.text for figure in ranked}))
    floor = figures({"samples": asdict(comparison.floor)}, Entry)
    columns.append(("floor", {figure.key: figure.text for figure in floor}))
    described = descriptions(Entry) | of_metrics(metrics)
    rows = {key: about for key, about in described.items() if any(key in cells for _, cells in columns)}
    console = tables.console()
    room = console.width - min(max(len(about.title) + GAP for about in rows.values()), console.width // 2)
    for piece in _pieces(columns, room):
        console.print(_table(rows, piece))
        console.print()
    console.print(
        f"{LEGEND}; figures are of the test split\n"
        f"{comparison.floor.count:,} samples against as many test data, in {comparison.features}\n"
        "floor: training data in place of samples, about the best that a model can reach"
    )
    for entry in comparison.entries:
        if (transform := entry.evaluation.own_units) is not None:
            what = f"its densities are in the units of {transform}, which has no log|det J|, and rank no models"
            console.print(f"{printable(entry.name)}: {what}", soft_wrap=True)


def _pieces(columns: list[Column], room: int) -> list[list[Column]]:
    """The columns in groups that each fit into `room` characters; a wider column has a group of its own."""
    pieces: list[list[Column]] = []
    room_left = 0
    for name, cells in columns:
        width = max(map(len, (name, *cells.values()))) + GAP
        if width > room_left or not pieces:
            pieces.append([])
            room_left = room
        pieces[-1].append((name, cells))
        room_left -= width
    return pieces


def _table(rows: dict[str, Description], columns: list[Column]) -> Table:
    table = tables.table(("",), [name for name, _ in columns])
    for key, about in rows.items():
        tables.add_row(table, f"{about.title} {about.arrow}".strip(), *(cells.get(key, "–") for _, cells in columns))
    return table
