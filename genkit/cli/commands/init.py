"""genkit init."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from genkit.cli import completion
from genkit.cli.app import TRAIN, app, fail, lines_to_type, say

SYSTEM = "vae"
"""The system that is written where nobody can be asked."""


@app.command(
    rich_help_panel=TRAIN,
    epilog=lines_to_type("genkit init", "genkit init --data table.csv --system vae --out my.yaml"),
)
def init(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="data.KEY=VALUE", help="Options of the data, such as data.label=species."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="A file, a folder, or a source of data by its name, such as digits; by default it is asked for.",
            show_default=False,
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            help="What to train; by default it is asked for.", show_default=False, autocompletion=completion.systems
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; by default SYSTEM-DATA.yaml here.", show_default=False)
    ] = None,
) -> None:
    """Write a first config for your data: it looks at them, picks the parts that fit, and explains each."""
    asked = sys.stdin.isatty() and sys.stdout.isatty()
    if data is None and not asked:
        fail("--data: say which data: genkit init --data PATH, or the name of a source, such as --data digits")
    from genkit.errors import GenkitError
    from genkit.files import atomic
    from genkit.scaffold import starter

    for word in (word for word in overrides or () if word.partition("=")[0].partition(".")[0] != "data"):
        fail(f"'{word}': only options of the data are taken here, as data.KEY=VALUE; change others in the config")
    if data is None:
        data = typer.prompt(f"data (a file, a folder, or one of {', '.join(starter.built_in())})").strip()
    if system is None:
        system = _asked_system(starter.systems()) if asked else SYSTEM
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data).expanduser().resolve().stem).strip("-.")
    path = Path(f"{system}-{stem}.yaml".replace("-.", ".")) if out is None else out
    if path.exists() or path.is_symlink():
        fail(f"{path}: is there already, and is not overwritten; choose another file with --out")
    try:
        made_for = starter.start(data, system, overrides or ())
    except GenkitError as error:
        fail(str(error))
    atomic.write_text(path, made_for.text)
    say(*made_for.notes, f"next: genkit run {path}", error=True)
    say(path)


def _asked_system(systems: dict[str, str]) -> str:
    """The system that the user chooses."""
    say(*(f"  {name}: {what}" for name, what in systems.items()))
    choice: str = typer.prompt("system", default=SYSTEM)
    return choice.strip()
