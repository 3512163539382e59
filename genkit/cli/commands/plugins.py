"""genkit plugins, with its own commands `show` and `reference`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from genkit.cli import tables
from genkit.cli.app import PLUGINS, Json, OutOrPrint, app, say

plugins = typer.Typer(invoke_without_command=True, help="List the installed plugins, or show one of their parts.")
app.add_typer(plugins, name="plugins", rich_help_panel=PLUGINS)


@plugins.callback()
def _list(context: typer.Context, as_json: Json = False) -> None:
    """List the installed plugins with their distributions, parts and problems, those that are left out included."""
    if context.invoked_subcommand is not None:
        return
    from genkit.registry.kinds import name_of
    from genkit.registry.registry import installed

    left_out = installed().left_out()
    rows = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "components": [f"{component.kind}/{name_of(component)}" for component in plugin.components],
            "events": plugin.events,
            "problems": plugin.problems,
            "notes": [*plugin.notes, *(f"left out by {source}" for left, source in left_out if left is plugin)],
        }
        for plugin in installed().plugins
    ]
    if as_json:
        tables.print_json(rows)
    else:
        show_all(rows)


@plugins.command()
def show(
    part: Annotated[str, typer.Argument(metavar="KIND/NAME", help="The part, such as encoder/mlp.")],
    as_json: Json = False,
) -> None:
    """Show a part: its documentation, its distribution, and its options with their defaults."""
    import inspect

    from genkit.registry import schema
    from genkit.registry.registry import installed

    kind, name = schema.parts(part)
    component = installed().find(kind, name)
    options = schema.options(kind, name)
    if as_json:
        tables.print_json(options)
    else:
        show_part(f"{kind}/{name}", installed().owner(component).owner, inspect.getdoc(component) or "", options)


@plugins.command()
def reference(out: OutOrPrint = None) -> None:
    """Print the reference of hooks, kinds, options and figures as Markdown, with all installed plugins."""
    from genkit.files import atomic
    from genkit.registry.reference import reference as page

    if out is None:
        sys.stdout.write(page())
    else:
        atomic.write_text(out, page())
        say(out)


def show_all(rows: list[dict[str, Any]]) -> None:
    """Print a paragraph per plugin."""
    for row in rows:
        say(f"{row['name']}  ({row['distribution']} {row['version']})".replace(" )", ")"))
        for label in ("components", "events", "problems", "notes"):
            if row[label]:
                say(f"    {label}: {', '.join(row[label])}")


def show_part(title: str, owner: str, documentation: str, options: dict[str, Any]) -> None:
    """Print a component's documentation, and a table of its options."""
    from genkit.registry.schema import described

    console = tables.console()
    console.print(f"{title}  ({owner})\n\n{documentation}\n", soft_wrap=True)
    table = tables.table(("option", "type", "default", "what"))
    for option in described(options):
        tables.add_row(table, option.name, option.type, option.default or "needed", option.what)
    console.print(table)
