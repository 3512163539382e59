"""genkit run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli.app import TRAIN, ConfigPath, Overrides, Quiet, app, at_once, lines_to_type


@app.command(
    rich_help_panel=TRAIN,
    epilog=lines_to_type("genkit run vae-digits", "genkit run my.yaml training.epochs=5 sampler.latent=8"),
)
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="The directory to write; by default a new one in runs/.")] = None,
    quiet: Quiet = False,
) -> None:
    """Train the model of a config; stdout gets the run's directory alone, so that dir=$(genkit run ...) works."""
    with at_once():
        from genkit.cli.progress import following, print_files
        from genkit.runs import running

    with following(quiet) as progress:
        finished = running.run(config, overrides or (), out=out, listeners=[progress])
    print_files(finished.directory, quiet)
