"""genkit describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import tables
from genkit.cli.app import INSPECT, Json, Overrides, app, fail, say

if TYPE_CHECKING:
    from genkit.model.summary import Row


@app.command(rich_help_panel=INSPECT)
def describe(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG|RUN", help="A YAML config, a run's directory, a model.safetensors, or hf://USER/REPO."
        ),
    ],
    overrides: Overrides = None,
    part: Annotated[str | None, typer.Option(help="Show one part alone: encoder or decoder.")] = None,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Give shapes of images as height x width x channels.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show each layer of a model with its output shape and parameters, in the order in which data flow."""
    from genkit.model.summary import describe as rows_of
    from genkit.model.summary import part_of
    from genkit.runs.opening import as_config, prepare
    from genkit.sharing import hub
    from genkit.sharing.facts import gather

    notes = []
    if source.is_dir() or source.suffix == ".safetensors" or hub.is_address(source):
        if overrides:
            fail("overrides need a config; a trained model is described as it is")
        facts = gather(source)
        model, notes = facts.model, facts.notes()
    else:
        model = prepare(as_config(source, overrides or ()))[1]
    rows = rows_of(model) if part is None else part_of(rows_of(model), part)
    if channels_last:
        rows = [row.channels_last() for row in rows]
    if as_json:
        tables.print_json([row.to_json() for row in rows])
        return
    show(rows)
    for note in notes:
        say(tables.note_line(note))


def show(rows: list[Row]) -> None:
    """Print the table of a model; layers that read the same input share a line."""
    table = tables.table(("layer", "type", "output shape"), ("parameters",))
    lines: list[list[Row]] = []
    for row in rows:
        if row.parallel:
            lines[-1].append(row)
        else:
            lines.append([row])
    for line in lines:
        types = [row.type + (f" + {row.activation}" if row.activation else "") for row in line]
        shapes = ["×".join(map(str, row.shape)) for row in line]
        counts = [f"{row.parameters:,}" for row in line]
        tables.add_row(table, *(" | ".join(cells) for cells in (_side_by_side(line), types, shapes, counts)))
    console = tables.console(highlight=True)
    console.print(table)
    say(f"{sum(row.parameters for row in rows):,} parameters")


def _side_by_side(line: list[Row]) -> list[str]:
    """The names of layers side by side, the later ones without the path of the first: `sampler.mean`, `log_var`."""
    above = line[0].name.rpartition(".")[0]
    return [line[0].name, *(row.name.removeprefix(f"{above}.") for row in line[1:])]
