"""genkit new-plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli import completion, extensions
from genkit.cli.app import PLUGINS, app, fail, lines_to_type, say

SCAFFOLD = Path(__file__).parents[2] / "scaffold"


def _choices(pattern: str) -> str:
    """The names of template files; they are read here because `genkit.scaffold` would import torch."""
    *names, last = sorted(path.stem for path in SCAFFOLD.glob(pattern))
    return f"{', '.join(names)} or {last}"


@app.command(rich_help_panel=PLUGINS, epilog=lines_to_type("genkit new-plugin genkit-wavelet --kind encoder"))
def new_plugin(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The name of the new distribution, such as genkit-wavelet.")
    ],
    kind: Annotated[
        str,
        typer.Option(help=f"The kind of its part: {_choices('kinds/*.py')}.", autocompletion=completion.kinds),
    ] = "encoder",
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write; by default NAME.")] = None,
    license: Annotated[str, typer.Option(help=f"Its license: {_choices('licenses/*.txt')}.")] = "MIT",
    author: Annotated[str | None, typer.Option(help="Its author: 'Name' or 'Name <address>'.")] = None,
) -> None:
    """Write a new plugin: a distribution with a part that works, its tests, and the files for publishing it."""
    import shlex

    from genkit.scaffold import COMMAND, PREFIX
    from genkit.scaffold import new_plugin as write

    word = name.removeprefix(PREFIX)
    if kind == COMMAND and word in extensions.own_names(app):
        fail(f"'{name}': genkit has a command '{word}'; choose another name, such as {PREFIX}my-{word}")
    folder = write(name, kind, out, license, author)
    say(folder)
    say("next:", error=True)
    for command in (
        f"cd {shlex.quote(str(folder))}",
        "pip install -e '.[dev]'",
        "pytest",
        *([f"genkit {word} --help"] if kind == COMMAND else [f"genkit check-plugin {name}", "genkit run example.yaml"]),
    ):
        say(f"  {command}", error=True)
