"""genkit examples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import completion, tables
from genkit.cli.app import TRAIN, Json, app, fail, lines_to_type, say
from genkit.text import printable

if TYPE_CHECKING:
    from genkit.examples import Example


@app.command(rich_help_panel=TRAIN, epilog=lines_to_type("genkit examples", "genkit examples vae-digits --out my.yaml"))
def examples(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The example to copy; none: list all.",
            show_default=False,
            autocompletion=completion.examples,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write; by default NAME.yaml here.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the examples that come with genkit, each with a sentence, or copy one to change it."""
    from genkit.examples import example, names

    if name is not None:
        say(_copied(name, out))
        return
    if out is not None:
        fail(f"--out {out}: which example? write its name: genkit examples NAME --out {out}")
    each = [one for one in map(example, names()) if one is not None]
    if as_json:
        tables.print_json([{"name": one.name, "data": one.data, "what": one.sentence} for one in each])
    else:
        show(each)


def show(each: Sequence[Example]) -> None:
    """Print a table of examples with a paragraph per system, and how to go on."""
    console = tables.console()
    table = tables.table(("example", "data", "what"))
    for column in table.columns[:2]:
        column.no_wrap = True
    for _, group in groupby(each, key=lambda one: one.system):
        for one in group:
            tables.add_row(table, one.name, one.data, one.sentence)
        table.add_section()
        tables.add_row(table, "", "", "")
    console.print(table)
    say("genkit run NAME trains one; genkit examples NAME copies one to change it")


def _copied(name: str, out: Path | None) -> Path:
    """The copy of an example; ends where there is no such example, or a file is there already."""
    from genkit.errors import RunError
    from genkit.examples import example, names, script
    from genkit.files import atomic
    from genkit.settings.base import nearest

    one = example(name) or script(name)
    if one is None:
        near = nearest(name, names())
        hint = near if near.startswith("did you mean") else "`genkit examples` lists all"
        fail(f"'{printable(name)}': there is no such example; {hint}")
    path = Path(one.path.name) if out is None else out
    if path.exists() or path.is_symlink():
        fail(f"{path}: is there already; choose another file with --out")
    try:
        atomic.write_text(path, one.copied_text())
    except RunError as error:
        fail(f"--out {path}: {error}")
    return path
