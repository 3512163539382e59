"""The command line. Each command is a few lines around the Python interface, which it imports when it runs."""

from __future__ import annotations

import atexit
import gc
import importlib
import pkgutil
import sys
from functools import cache
from typing import TYPE_CHECKING

from genkit.cli import commands
from genkit.speed.waiting import wait_briefly

if TYPE_CHECKING:
    from typer import Typer


def main() -> None:
    """The entry point: an error that the user can mend ends in one message and exit code 2; a warning takes one line.

    With GENKIT_TRACEBACK=1 the traceback of an error is printed too, for authors of plugins.
    """
    wait_briefly()
    app = application()
    from genkit.cli import extensions, guesses
    from genkit.cli.app import INTERRUPTED, PLUGINS, any_terminal, fail, say_way, warning_lines
    from genkit.errors import GenkitError
    from genkit.training.signals import end_or_remember, handled

    atexit.register(gc.freeze)  # else Python searches all of torch for cycles at exit, which takes half a second
    any_terminal()
    try:
        with warning_lines(), handled(end_or_remember):
            extensions.add_to(app, PLUGINS, sys.argv[1:])
            guesses.check(app, sys.argv[1:])
            app(prog_name="genkit")
    except KeyboardInterrupt:  # before the command had begun
        raise SystemExit(INTERRUPTED) from None
    except GenkitError as error:
        say_way(error)
        fail(str(error))


@cache
def application() -> Typer:
    """The application with the commands of every module of `commands`, in the order of their panels."""
    gc.disable()  # imported objects are no garbage, and a search for garbage takes longer than the commands
    from genkit.cli.app import app, place

    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{module.name}")
    gc.freeze()
    gc.enable()
    app.registered_commands.sort(key=place)
    return app
