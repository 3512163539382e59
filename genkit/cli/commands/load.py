"""genkit load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import tables
from genkit.cli.app import SHARE, USER_ERROR, Json, RunPath, app, lines_to_type, say

if TYPE_CHECKING:
    from genkit.sharing.push import Inspection


@app.command(rich_help_panel=SHARE, epilog=lines_to_type("genkit load last", "genkit load hf://USER/REPO"))
def load(
    run: RunPath,
    out: Annotated[Path | None, typer.Option(help="A directory to copy the model file to.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch a model and show whether its plugins are installed; exit code 2 if it cannot be loaded."""
    from genkit.sharing.push import inspect

    inspection = inspect(run, out)
    if as_json:
        tables.print_json(inspection.to_json())
    else:
        show(inspection)
    if inspection.problem:
        raise SystemExit(USER_ERROR)


def show(inspection: Inspection) -> None:
    """Print the facts of a model file, the plugins that it was made with, and the pip command for missing ones."""
    shape = " × ".join(map(str, inspection.data.shape))
    size = "" if inspection.parameters is None else f"; {inspection.parameters:,} parameters"
    say(inspection.path, f"sha256 {inspection.sha256}")
    say(f"{inspection.name}: for {inspection.data.source}, data of shape {shape}{size}")
    for finding in inspection.plugins:
        record = finding.record
        say(f"{record.owner} ({', '.join(record.components)}): {finding.message or finding.state}")
    say("cannot be loaded here" if inspection.problem else "can be loaded here")
    if inspection.problem:
        say(*inspection.problem.split("\n"), *filter(None, [inspection.install]))
