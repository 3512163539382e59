"""Commands that plugins bring, by the entry-point group `genkit.commands`: `name = "module:function"`.

They are looked for where the command line asks for the help or for a command that is not genkit's own, and imported
when they run. Formats of a comparison's page are functions of the same kind, in the group `genkit.comparisons`, with
the suffix of the file as name: `html = "module:function"`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, NamedTuple

import typer

GROUP = "genkit.commands"
COMPARISONS = "genkit.comparisons"
LABELS = {GROUP: "command", COMPARISONS: "format of comparisons"}
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


class Command(NamedTuple):
    """A command, or a format of comparisons, that a plugin brings."""

    distribution: str
    version: str
    entry: EntryPoint
    problem: str = ""
    """Why it cannot be called; empty: it can."""

    @property
    def label(self) -> str:
        """The command, as messages name it."""
        return f"{LABELS[self.entry.group]} '{self.entry.name}' of {self.distribution}"


def commands(own: Sequence[str], group: str = GROUP) -> list[Command]:
    """What plugins bring in a group, by name; what is refused says why, for what is genkit's own goes first."""
    from genkit.registry.entry_points import UNKNOWN, located
    from genkit.registry.selection import VARIABLE, Selection

    wanted = Selection.of(os.environ.get(VARIABLE, "all"), VARIABLE)
    owners: dict[str, str] = {}
    each: list[Command] = []
    for distribution, entry, source in sorted(located(group), key=lambda one: (one.entry.name, one.distribution)):
        is_shadowed = owners.get(entry.name) == distribution  # by the same distribution, earlier on the path
        if wanted.allows(distribution, entry.name) and not is_shadowed:
            version = "" if distribution == UNKNOWN else source.version
            refusal = _refusal(entry.name, LABELS[group], own, owners)
            each.append(Command(distribution, version, entry, refusal))
            owners.setdefault(entry.name, distribution)
    return each


def _refusal(name: str, label: str, own: Sequence[str], owners: Mapping[str, str]) -> str:
    """Why a command or a format cannot have a name; empty: it can."""
    if not NAME.fullmatch(name):
        return "a name is of small letters, digits and '-', a letter first, at most 40"
    if name in own:
        return f"genkit has a {label} of that name; choose another"
    return f"{owners[name]} has a {label} of that name; choose another" if name in owners else ""


def formats() -> dict[str, Command]:
    """The formats of a comparison's page that plugins bring, by the suffixes of their files."""
    return {f".{each.entry.name}": each for each in commands(["png"], COMPARISONS) if not each.problem}


def own_names(app: typer.Typer) -> list[str]:
    """The names of genkit's own commands, without those of plugins."""
    own = [command for command in app.registered_commands if getattr(command.callback, "__module__", "") != __name__]
    names = [command.name or command.callback.__name__.replace("_", "-") for command in own]  # type: ignore[union-attr]
    return names + [group.name or "" for group in app.registered_groups]


def add_to(app: typer.Typer, panel: str, words: Sequence[str]) -> None:
    """Add the commands of plugins, unless the words of the command line name one of genkit's own."""
    own = own_names(app)
    asked = next((word for word in words if not word.startswith("-")), None)
    if asked in own:
        return
    from rich.markup import escape

    from genkit.cli.summaries import summary

    anything = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    added = {command.name for command in app.registered_commands}
    for command in commands(own):
        if not command.problem and command.entry.name not in added:
            text = summary(command.entry) or f"A command of {command.distribution}."
            app.command(command.entry.name, help=escape(text), rich_help_panel=panel, context_settings=anything)(
                _calling(command)
            )


def load(command: Command) -> Any:
    """The function of a command; raises ComponentError where it cannot be imported, or is no function."""
    from genkit.errors import ComponentError, in_a_line, place

    try:
        function = command.entry.load()
    except (Exception, SystemExit) as error:
        reason = f"{in_a_line(error)}{place(error)}"
        raise ComponentError(f"{command.label} cannot be imported: {reason}") from error
    if not callable(function):
        raise ComponentError(f"{command.label}: {command.entry.value} is no function")
    return function


def _calling(command: Command) -> Any:
    """A function that imports a command and calls it with the words of the command line."""

    def call(context: typer.Context) -> None:
        function = load(command)
        inner = typer.Typer(
            add_completion=False,
            pretty_exceptions_enable=False,
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        with naming(command, function):
            inner.command()(function)
            inner(context.args, prog_name=f"genkit {command.entry.name}", standalone_mode=True)

    return call


@contextlib.contextmanager
def naming(command: Command, function: Any) -> Iterator[None]:
    """Raise ComponentError, with the command and the place in its code, for what fails in the block unexpectedly."""
    from genkit.errors import ComponentError, GenkitError, in_a_line, place

    try:
        yield
    except GenkitError:
        raise
    except Exception as error:
        package = command.entry.module.partition(".")[0]
        where = place(error, package) or _start(function)
        reason = f"{in_a_line(error)}{where}; GENKIT_TRACEBACK=1 shows the traceback"
        raise ComponentError(f"{command.label} fails: {reason}") from error


def _start(function: Any) -> str:
    """The place where a function begins, as a suffix; empty for what has no code of its own."""
    code = getattr(function, "__code__", None)
    return "" if code is None else f" ({Path(code.co_filename).name}:{code.co_firstlineno})"
