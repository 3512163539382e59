"""Answers to words on the command line that name no command and no option, with what to write instead."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from genkit.cli.app import fail

KEYED = {"overrides": "", "data": "data"}
"""The arguments of commands that take KEY=VALUE, and the group of options in which the keys are."""

HINTS = {
    "CONFIG": "`genkit examples` lists configs to begin with, and `genkit init` writes one: genkit {} vae-digits",
    "RUN": "`genkit runs` lists what was trained, and `last` is the latest one: genkit {} last",
}
"""What there is for a first argument that was left out, by its metavar."""


def check(app: typer.Typer, words: Sequence[str]) -> None:
    """End with an answer to an unknown command, to one without its first argument, and to an option as a flag."""
    command = next((word for word in words if not word.startswith("-")), None)
    if command is None:
        return
    helps = commands(app)
    if command not in helps:
        fail(unknown_command(command, words, helps))
    if [*words] == [command]:
        _check_argument(typer.main.get_command(app), command)
    flags = [word for word in words if word.startswith("--") and len(word) > 2]
    if flags and "--" not in words and command not in {group.name for group in app.registered_groups}:
        _check_flags(typer.main.get_command(app), command, words, flags)


def commands(app: typer.Typer) -> dict[str, str]:
    """The names of all commands, each with the first line of its help."""
    named = {}
    for each in app.registered_commands:
        name = each.name or str(getattr(each.callback, "__name__", "")).replace("_", "-")
        named[name] = (each.help or getattr(each.callback, "__doc__", None) or "").strip().partition("\n")[0]
    for group in app.registered_groups:
        named[group.name or ""] = str((group.typer_instance and group.typer_instance.info.help) or "")
    return named


def unknown_command(command: str, words: Sequence[str], helps: dict[str, str]) -> str:
    """The answer to a word that is no command: the command that begins its help so, or that has a similar name.

    Args:
        command: the word.
        words: the words of the whole command line.
        helps: the names of all commands, each with the first line of its help.
    """
    meant = [name for name, text in helps.items() if text.lower().startswith(f"{command.lower()} ")]
    meant = meant or difflib.get_close_matches(command, helps, n=1)
    if meant:
        line = ["genkit", *(meant[0] if word == command else word for word in words)]
        return f"there is no command '{command}'; did you mean `{shlex.join(line)}`? {helps[meant[0]]}"
    from genkit.examples import config_path

    if config_path(command).is_file():
        line = ["genkit", "run", *words]
        return f"'{command}' is a config, and no command; did you mean `{shlex.join(line)}`?"
    return f"there is no command '{command}'; there are {', '.join(helps)}"


def _check_argument(group: Any, command: str) -> None:
    """End where the first argument of a command is needed, and is one that there are hints for."""
    metavars = (each.metavar for each in group.commands[command].params if each.required)
    name = (next(metavars, None) or "").partition("|")[0]
    if name in HINTS:
        fail(f"{command}: {name} is missing; {HINTS[name].format(command)}")


def _check_flags(group: Any, command: str, words: Sequence[str], flags: Iterable[str]) -> None:
    """End where an option of the config, or of the data, is given as a flag; other flags are left to the command."""
    parameters = group.commands[command].params
    if group.commands[command].ignore_unknown_options:
        return
    own = {name for each in parameters for name in (*each.opts, *each.secondary_opts)} | {"--help"}
    keyed = next((KEYED[each.name] for each in parameters if each.name in KEYED), None)
    for flag in flags:
        name, equals, value = flag.partition("=")
        if name in own or keyed is None:
            continue
        after = words[words.index(flag) + 1 :][:1]
        value = value if equals else next((word for word in after if not word.startswith("-")), "...")
        _answer_flag(name, value, keyed, words)


def _answer_flag(name: str, value: str, keyed: str, words: Iterable[str]) -> None:
    """End with the option that a flag means; nothing where there is none."""
    from genkit.cli import options
    from genkit.settings.tree import called

    files = [path for path in map(options.config_named, words) if path.suffix in (".yaml", ".yml") and path.is_file()]
    values = options.values_of(files[0]) if files else {}
    each = [tuple(one.path.split(".")) for one in options.options(values)]
    *group, key = name.removeprefix("--").replace("-", "_").split(".")
    within = [path for path in each if (not keyed or path[0] == keyed) and [*path[: len(group)]] == group]
    if paths := called(key, within):
        written = " or ".join(shlex.quote(f"{path}={value}") for path in paths)
        fail(f"{name}: is no flag; an option of the config is written KEY=VALUE: {written}")
