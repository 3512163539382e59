"""genkit resume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli import completion, sources
from genkit.cli.app import TRAIN, AcceptChanges, Overrides, Quiet, app, at_once, lines_to_type


@app.command(rich_help_panel=TRAIN, epilog=lines_to_type("genkit resume last", "genkit resume vae-digits --epochs 100"))
def resume(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="An interrupted run: its directory, its name in runs/, or `last`.",
            callback=sources.run_of,
            autocompletion=completion.runs,
        ),
    ],
    overrides: Overrides = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="How many epochs in all; by default the number in the run's config.")
    ] = None,
    accept_changes: AcceptChanges = False,
    quiet: Quiet = False,
) -> None:
    """Resume an interrupted run, as if it had never stopped, or a finished one for more epochs."""
    with at_once():
        from genkit.cli.progress import following, print_files
        from genkit.runs import running

    with following(quiet) as progress:
        finished = running.resume(run, epochs, [progress], overrides or (), accept_changes)
    print_files(finished.directory, quiet)
