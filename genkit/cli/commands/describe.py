"""genkit describe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import completion, sources, tables
from genkit.cli.app import INSPECT, Json, Overrides, app, fail, lines_to_type, say

if TYPE_CHECKING:
    from genkit.config import RunConfig
    from genkit.model.model import Model
    from genkit.model.summary import Row
    from genkit.record.diagnosis import Note


@app.command(
    rich_help_panel=INSPECT,
    epilog=lines_to_type("genkit describe vae-digits", "genkit describe my.yaml sampler.latent=8"),
)
def describe(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG|RUN",
            help="A YAML config or an example; a run's directory, its name or `last`; a model.safetensors; or "
            "hf://USER/REPO.",
            callback=sources.source_of,
            autocompletion=completion.sources,
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

    model, notes = _model_of(source, overrides or ())
    rows = rows_of(model) if part is None else part_of(rows_of(model), part)
    if channels_last:
        rows = [row.channels_last() for row in rows]
    if as_json:
        tables.print_json([row.to_json() for row in rows])
        return
    show(rows)
    for note in notes:
        say(tables.note_line(note))


def _model_of(source: Path, overrides: Sequence[str]) -> tuple[Model, list[Note]]:
    """The model of a config or of a trained one, and notes about it."""
    from genkit.runs.opening import prepare
    from genkit.runs.placing import placed
    from genkit.sharing import hub
    from genkit.sharing.facts import gather

    if source.is_dir() or source.suffix == ".safetensors" or hub.is_address(source):
        if overrides:
            fail("overrides need a config; a trained model is described as it is")
        facts = gather(source)
        return facts.model, facts.notes()
    config = _config_in(source, overrides)
    with placed(source, overrides):
        return prepare(config)[1], []


def _config_in(source: Path, overrides: Sequence[str]) -> RunConfig:
    """The config in a file; raises ConfigError, which says of other files what they are no form of."""
    from genkit.errors import ConfigError
    from genkit.runs.opening import as_config

    try:
        return as_config(source, overrides)
    except ConfigError as error:
        if not source.is_file() or source.suffix in (".yaml", ".yml"):
            raise
        forms = "a config is .yaml, a model .safetensors, and a run a directory"
        raise ConfigError(*error.args, f"{source}: is read as a config; {forms}") from None


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
