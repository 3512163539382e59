"""genkit reproduce."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli import completion, sources
from genkit.cli.app import BROKEN, INSPECT, app, at_once, lines_to_type, say


@app.command(rich_help_panel=INSPECT, epilog=lines_to_type("genkit reproduce last"))
def reproduce(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A finished run: its directory, its name in runs/, or `last`.",
            callback=sources.run_of,
            autocompletion=completion.runs,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The directory of the repetition; by default it is removed afterwards.")
    ] = None,
) -> None:
    """Run a run again and compare weights and figures bit for bit; exit code 1 where something differs."""
    with at_once():
        from genkit.runs import reproduction

    result = reproduction.reproduce(run, out)
    compared = f"{result.tensors} tensors, {result.figures} figures of the test split, {result.epochs} epochs"
    if not result.different:
        say(f"reproduced: {compared}: equal bit for bit")
        return
    say(f"not reproduced: of {compared}, these differ:", *(f"  {line}" for line in result.different))
    if result.environment:
        say("the environments differ too:", *(f"  {line}" for line in result.environment))
    raise SystemExit(BROKEN)
