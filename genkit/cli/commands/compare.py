"""genkit compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import completion, extensions, sources, tables
from genkit.cli.app import INSPECT, Json, Metrics, Seed, app, fail, lines_to_type, say

if TYPE_CHECKING:
    from rich.table import Table

    from genkit.evaluation.figure_tables import Column
    from genkit.interfaces import Description, Metric
    from genkit.runs.comparison import Compared, Comparison

GAP = 2
"""The number of blanks between columns."""


@app.command(rich_help_panel=INSPECT, epilog=lines_to_type("genkit compare vae-digits vae-digits-2"))
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|data.KEY=VALUE",
            help="Runs on the same data, and options of the data that replace those of every run.",
            callback=sources.runs_of,
            autocompletion=completion.runs,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The page to write: .png, .svg and .pdf have pictures alone, .html all of it.")
    ] = Path("compare.png"),
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
    from genkit.pictures.saving import FORMATS

    if out.suffix in FORMATS:
        from genkit.runs.comparison_page import draw

        return draw
    formats = extensions.formats()
    if out.suffix not in formats:
        suffixes = ", ".join([*FORMATS, *formats])
        fail(f"--out {out}: the page is one of {suffixes}; call it {out.with_suffix('.png').name}")
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
    columns, rows = comparison.columns(metrics), comparison.rows(metrics)
    console = tables.console()
    room = console.width - min(max(len(about.title) + GAP for about in rows.values()), console.width // 2)
    for piece in _pieces(columns, room):
        console.print(_table(rows, piece))
        console.print()
    for line in comparison.notes():
        console.print(line, soft_wrap=True)


def _pieces(columns: list[Column], room: int) -> list[list[Column]]:
    """The columns in groups that each fit into `room` characters; a wider column has a group of its own."""
    pieces: list[list[Column]] = []
    room_left = 0
    for column in columns:
        width = max(map(len, (column.head, *column.texts.values()))) + GAP
        if width > room_left or not pieces:
            pieces.append([])
            room_left = room
        pieces[-1].append(column)
        room_left -= width
    return pieces


def _table(rows: dict[str, Description], columns: list[Column]) -> Table:
    """The columns side by side, with the rows that some of them have."""
    from genkit.evaluation.figure_tables import MISSING

    table = tables.table(("",), [column.head for column in columns])
    for key, about in rows.items():
        if any(key in column.texts for column in columns):
            numbers = [column.texts.get(key, MISSING) for column in columns]
            tables.add_row(table, f"{about.title} {about.arrow}".strip(), *numbers)
    return table
