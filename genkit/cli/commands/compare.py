"""genkit compare."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import tables
from genkit.cli.app import INSPECT, Json, Seed, app, fail

if TYPE_CHECKING:
    from rich.table import Table

    from genkit.evaluation.descriptions import Description
    from genkit.runs.comparison import Comparison

Column = tuple[str, dict[str, str]]
"""A head, and the text of each figure that is there by its key."""
GAP = 2
"""Blank characters beside a column."""


@app.command(rich_help_panel=INSPECT)
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|data.KEY=VALUE",
            help="Runs of the same data, and options of the data that replace those of every run.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page of pictures to write (.png).")] = Path("compare.png"),
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many samples, against as many data.")] = 10_000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Put trained models side by side: figures in a table; samples, reconstructions and latents on a page."""
    from genkit.runs.comparison import compare as compared
    from genkit.runs.comparison_page import draw

    if out.suffix != ".png":
        fail(f"--out {out}: the page is a .png; call it {out.with_suffix('.png').name}")
    paths = [run for run in runs if "=" not in run or Path(run).exists()]
    result = compared(paths, [run for run in runs if run not in paths], n, seed)
    draw(result, out)
    if as_json:
        tables.print_json(result.comparison.to_json())
    else:
        show(result.comparison)
        print(out)


def show(comparison: Comparison) -> None:
    """Print a table with a row for each figure and a column for each model, in pieces where it is too wide."""
    from rich.console import Console

    from genkit.evaluation.descriptions import LEGEND, descriptions, figures
    from genkit.runs.comparison import Entry

    listed = [(entry.name, asdict(entry)) for entry in comparison.entries]
    listed.append(("floor", {"samples": asdict(comparison.floor)}))
    columns = [(name, {figure.key: figure.text for figure in figures(values, Entry)}) for name, values in listed]
    shown = {key: about for key, about in descriptions(Entry).items() if any(key in cells for _, cells in columns)}
    console = Console(markup=False, highlight=False)
    room = console.width - min(max(len(about.title) + GAP for about in shown.values()), console.width // 2)
    for piece in _pieces(columns, room):
        console.print(_filled(shown, piece))
        console.print()
    console.print(
        f"{LEGEND}; figures are of the test split\n"
        f"{comparison.floor.count:,} samples against as many test data, in {comparison.features}\n"
        "floor: training data in place of samples, about the best that a model can reach"
    )


def _pieces(columns: list[Column], room: int) -> list[list[Column]]:
    """The columns in groups, each of which fits the room if one column does."""
    pieces: list[list[Column]] = []
    left = 0
    for name, cells in columns:
        width = max(map(len, (name, *cells.values()))) + GAP
        if width > left or not pieces:
            pieces.append([])
            left = room
        pieces[-1].append((name, cells))
        left -= width
    return pieces


def _filled(shown: dict[str, Description], columns: list[Column]) -> Table:
    table = tables.table(("",), [name for name, _ in columns])
    for key, about in shown.items():
        table.add_row(f"{about.title} {about.arrow}".strip(), *(cells.get(key, "–") for _, cells in columns))
    return table
