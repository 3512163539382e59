"""Commands that plugins bring, by the entry-point group `genkit.commands`: `name = "module:function"`.

They are looked for where the command line asks for the help or for a command that is not genkit's own, and imported
when they run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any

import typer

GROUP = "genkit.commands"
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


def offered(own: Sequence[str]) -> list[tuple[str, EntryPoint]]:
    """The distributions and the entry points of the commands that plugins bring, by name; genkit's own go first."""
    from genkit.registry.entry_points import located
    from genkit.registry.selection import VARIABLE, Selection

    wanted = Selection.of(os.environ.get(VARIABLE, "all"), VARIABLE)
    commands: dict[str, tuple[str, EntryPoint]] = {}
    for distribution, entry, _ in sorted(located(GROUP), key=lambda each: each.distribution):
        if NAME.fullmatch(entry.name) and entry.name not in own and wanted.allows(distribution, entry.name):
            commands.setdefault(entry.name, (distribution, entry))
    return [commands[name] for name in sorted(commands)]


def add_to(app: typer.Typer, panel: str, words: Sequence[str]) -> None:
    """Add the commands of plugins, unless the words of the command line name one of genkit's own."""
    own = [command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands]  # type: ignore[union-attr]
    own += [group.name or "" for group in app.registered_groups]
    asked = next((word for word in words if not word.startswith("-")), None)
    if asked in own:
        return
    anything = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    for distribution, entry in offered(own):
        text = f"A command of {distribution}."
        app.command(entry.name, help=text, rich_help_panel=panel, context_settings=anything)(
            _calling(distribution, entry)
        )


def _calling(distribution: str, entry: EntryPoint) -> Any:
    """A function that imports a command and calls it with the words of the command line."""

    def call(context: typer.Context) -> None:
        function = _loaded(distribution, entry)
        command = typer.Typer(
            add_completion=False,
            pretty_exceptions_enable=False,
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        command.command()(function)
        command(context.args, prog_name=f"genkit {entry.name}", standalone_mode=True)

    return call


def _loaded(distribution: str, entry: EntryPoint) -> Any:
    """The function of a command; raises ComponentError where it cannot be imported, or is no function."""
    from genkit.errors import ComponentError, in_a_line, place

    try:
        function = entry.load()
    except Exception as error:
        reason = f"{in_a_line(error)}{place(error)}"
        raise ComponentError(f"command '{entry.name}' of {distribution} cannot be imported: {reason}") from error
    if not callable(function):
        raise ComponentError(f"command '{entry.name}' of {distribution}: {entry.value} is no function")
    return function
