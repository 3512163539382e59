"""genkit pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli.app import INSPECT, AcceptChanges, DataOverrides, RunPath, app, fail, say


@app.command(rich_help_panel=INSPECT)
def pictures(
    run: RunPath,
    data: DataOverrides = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write; by default the pictures of the run.", show_default=False)
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="The format: png, or svg or pdf for print.")
    ] = "png",
    accept_changes: AcceptChanges = False,
) -> None:
    """Draw the pictures of a trained model again, also as vector graphics for print."""
    from genkit.pictures.plots import draw_all
    from genkit.pictures.saving import FORMATS
    from genkit.record.directory import RunDirectory
    from genkit.runs.opening import reopen

    if f".{form}" not in FORMATS:
        fail(f"--format {form}: choose one of {', '.join(each.removeprefix('.') for each in FORMATS)}")
    directory = RunDirectory(Path(run))
    if out is None and not directory.path.is_dir():
        fail(f"{run}: is no run's directory; say with --out where to write the pictures")
    model, dataset = reopen(run, data or (), accept_changes)
    history = directory.history() if directory.path.is_dir() else []
    say(*draw_all(model, dataset, history, out or directory.pictures, [f".{form}"]))
