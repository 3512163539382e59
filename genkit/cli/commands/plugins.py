"""genkit plugins, with its own commands `show` and `reference`."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated, Any

import typer

from genkit.cli import completion, tables
from genkit.cli.app import PLUGINS, Json, OutOrPrint, app, say

plugins = typer.Typer(invoke_without_command=True, help="List the installed plugins, or show one of their parts.")
LABELS = ("components", "events", "commands", "problems", "notes")
"""What is said of a plugin, in order."""
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
            "commands": [],
            "packages": {component.__module__.partition(".")[0] for component in plugin.components},
            "problems": plugin.problems,
            "notes": [*plugin.notes, *(f"left out by {source}" for left, source in left_out if left is plugin)],
        }
        for plugin in installed().plugins
    ]
    _add_commands(rows)
    for row in rows:
        row.pop("packages", None)
    if as_json:
        tables.print_json(rows)
    else:
        show_all(rows)


def _add_commands(rows: list[dict[str, Any]]) -> None:
    """Add the commands of each distribution, and why they cannot be called, to the row of the plugin of their package.

    It is the first of the distribution where none is; a distribution without a plugin gets a row of its own.
    """
    from genkit.cli import extensions
    from genkit.errors import ComponentError

    formats = extensions.commands(["png"], extensions.COMPARISONS)
    for command in [*extensions.commands(extensions.own_names(app)), *formats]:
        package = command.entry.module.partition(".")[0]
        same = [row for row in rows if row["distribution"] == command.distribution]
        row = next((row for row in same if package in row.get("packages", ())), next(iter(same), None))
        if row is None:
            names = {"name": command.distribution, "distribution": command.distribution, "version": command.version}
            row = names | {label: [] for label in LABELS}
            rows.append(row)
        if command.problem:
            row["problems"].append(f"{command.label} is refused: {command.problem}")
            continue
        try:
            with contextlib.redirect_stdout(sys.stderr):
                extensions.load(command)
        except ComponentError as error:
            row["problems"].append(str(error))
        else:
            is_format = command.entry.group == extensions.COMPARISONS
            row["commands"].append(f"compare --out .{command.entry.name}" if is_format else command.entry.name)


@plugins.command()
def show(
    part: Annotated[
        str,
        typer.Argument(
            metavar="KIND/NAME",
            help="The part, such as encoder/mlp; a name alone shows the parts of every kind with that name.",
            autocompletion=completion.parts,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show a part: its documentation, its distribution, and its options with their defaults.

    A name alone shows the parts of every kind that have it, and a kind alone lists its parts.
    """
    import inspect

    from genkit.registry import schema
    from genkit.registry.registry import installed

    if (of_kind := schema.names_of(part)) is not None:
        say(*(f"{part}/{name}" for name in of_kind))
        return
    each = schema.parts_of(part)
    options = {f"{kind}/{name}": schema.options(kind, name) for kind, name in each}
    if as_json:
        tables.print_json(options if len(each) > 1 else options.popitem()[1])
        return
    for (kind, name), (title, of_part) in zip(each, options.items(), strict=True):
        component = installed().find(kind, name)
        show_part(title, installed().owner(component).owner, inspect.getdoc(component) or "", of_part)


@plugins.command()
def reference(out: OutOrPrint = None) -> None:
    """Print the reference of hooks, kinds, options and figures as Markdown, with all installed plugins."""
    from genkit.cli.outputs import write_or_print
    from genkit.registry.reference import reference as page

    write_or_print(page(), out)


def show_all(rows: list[dict[str, Any]]) -> None:
    """Print a paragraph per plugin."""
    for row in rows:
        say(f"{row['name']}  ({row['distribution']} {row['version']})".replace(" )", ")"))
        for label in LABELS:
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
