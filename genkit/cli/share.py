"""Commands that take models from machine to machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli.app import USER_ERROR, Json, RunPath, app

License = Annotated[str | None, typer.Option(help="As the Hub names it: apache-2.0, mit, cc-by-4.0, ...")]


@app.command()
def load(
    run: RunPath,
    out: Annotated[Path | None, typer.Option(help="A directory for a copy of the model file.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch a model, say what it is, and whether the plugins that it was made with are here; exit code 2 if not."""
    from genkit.cli import tables
    from genkit.sharing.push import inspect

    found = inspect(run, out)
    if as_json:
        tables.print_json(found.to_json())
    else:
        tables.print_inspection(found)
    if found.problem:
        raise SystemExit(USER_ERROR)


@app.command()
def card(
    run: RunPath,
    out: Annotated[Path | None, typer.Option(help="The file; by default README.md beside the weights.")] = None,
    license: License = None,
    repository: Annotated[
        str | None, typer.Option(metavar="hf://USER/REPO", help="Where the model will be loaded from.")
    ] = None,
) -> None:
    """Write a model card: what the model is, how to load it, its figures, and what it was made with."""
    from genkit.sharing.push import write_card

    print(write_card(run, out, license, repository))


@app.command()
def push(
    run: RunPath,
    target: Annotated[str, typer.Argument(metavar="hf://USER/REPO", help="The repository; made where there is none.")],
    license: License = None,
    private: Annotated[bool, typer.Option("--private", help="A new repository is for you alone.")] = False,
) -> None:
    """Put a model on the Hugging Face Hub with its card, config, figures and pictures, and no checkpoint."""
    from genkit.sharing.push import push as pushed

    commit, files = pushed(run, target, license, private)
    print("\n".join(files))
    print(commit)
