"""genkit card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli.app import SHARE, License, RunPath, app, lines_to_type, say


@app.command(rich_help_panel=SHARE, epilog=lines_to_type("genkit card last"))
def card(
    run: RunPath,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; by default README.md beside the weights.")
    ] = None,
    license: License = None,
    repository: Annotated[
        str | None, typer.Option(metavar="hf://USER/REPO", help="The address that the model will be loaded from.")
    ] = None,
) -> None:
    """Write a model card: what the model is, how to load it, its figures, and the plugins that it needs."""
    from genkit.sharing.push import write_card

    say(write_card(run, out, license, repository))
