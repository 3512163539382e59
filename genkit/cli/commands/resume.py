"""genkit resume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli.app import TRAIN, app


@app.command(rich_help_panel=TRAIN)
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of an interrupted run.")],
    epochs: Annotated[
        int | None, typer.Option(min=1, help="How many epochs in all; by default the number in the run's config.")
    ] = None,
) -> None:
    """Resume an interrupted run, as if it had never stopped, or a finished one for more epochs."""
    import genkit
    from genkit.cli.progress import following, print_files

    with following() as progress:
        finished = genkit.resume(run, epochs=epochs, listeners=[progress])
    print_files(finished.directory)
