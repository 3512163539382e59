"""genkit init."""

from __future__ import annotations

import re
import shlex
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
    from genkit.errors import GenkitError
    from genkit.files import atomic
    from genkit.scaffold import starter

    for word in (word for word in overrides or () if word.partition("=")[0].partition(".")[0] != "data"):
        fail(f"'{word}': only options of the data are taken here, as data.KEY=VALUE; change others in the config")
    data = _asked_data(starter.built_in()) if data is None else data
    system = _asked_system(starter.systems()) if system is None else system
    path = _free(_usual(system, data) if out is None else out)
    try:
        written = starter.start(data, system, overrides or ())
    except GenkitError as error:
        fail(str(error))
    atomic.write_text(path, written.text)
    say(*written.notes, f"next: genkit run {shlex.quote(str(path))}", error=True)
    say(path)


def _is_asked() -> bool:
    """Whether somebody at a terminal can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _asked_data(names: list[str]) -> str:
    """The data that the user names; ends where nobody can be asked."""
    if not _is_asked():
        fail("--data: say which data: genkit init --data PATH, or the name of a source, such as --data digits")
    answer: str = typer.prompt(f"data (a file, a folder, or one of {', '.join(names)})")
    return answer.strip()


def _usual(system: str, data: str) -> Path:
    """The file that is written where none is named: by the system and the data."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data).expanduser().resolve().stem).strip("-.")
    return Path(f"{system}-{stem}.yaml" if stem else f"{system}.yaml")


def _free(path: Path) -> Path:
    """A path where no file is; ends where one is."""
    if path.exists() or path.is_symlink():
        fail(f"{path}: is there already, and is not overwritten; choose another file with --out")
    return path


def _asked_system(systems: dict[str, str]) -> str:
    """The system that the user chooses; the usual one where nobody can be asked."""
    if not _is_asked():
        return SYSTEM
    say(*(f"  {name}: {what}" for name, what in systems.items()))
    choice: str = typer.prompt("system", default=SYSTEM)
    return choice.strip()
