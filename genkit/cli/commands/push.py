"""genkit push."""

from __future__ import annotations

from typing import Annotated

import typer

from genkit.cli.app import SHARE, License, RunPath, app, lines_to_type, say


@app.command(rich_help_panel=SHARE, epilog=lines_to_type("genkit push last hf://USER/REPO"))
def push(
    run: RunPath,
    target: Annotated[
        str,
        typer.Argument(metavar="hf://USER/REPO", help="The repository on the Hub; it is created if it does not exist."),
    ],
    license: License = None,
    private: Annotated[bool, typer.Option("--private", help="Make a repository that is created private.")] = False,
) -> None:
    """Put a model on the Hugging Face Hub with its card, config, figures and pictures, without checkpoints."""
    from genkit.sharing.push import push as upload

    commit, files = upload(run, target, license, private)
    say(*files, commit)
