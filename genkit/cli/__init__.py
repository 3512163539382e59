"""The command line. Each command is a few lines around the Python interface, which is imported when it runs."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import pkgutil
import traceback
from functools import cache
from typing import TYPE_CHECKING

from genkit.cli import commands

if TYPE_CHECKING:
    from typer import Typer

TRACEBACK = "GENKIT_TRACEBACK"
"""The environment variable that asks for the way to an error."""


def main() -> None:
    """The entry point: errors that the user can mend end in one message and exit code 2; warnings take a line each.

    With GENKIT_TRACEBACK=1 the way to an error is printed too, for those who write plugins.
    """
    app = application()
    from genkit.cli.app import fail, warning_lines
    from genkit.errors import GenkitError

    atexit.register(gc.freeze)  # or Python ends by looking for cycles in all of torch, which takes half a second
    try:
        with warning_lines():
            app()
    except GenkitError as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        fail(str(error))


@cache
def application() -> Typer:
    """The application with its commands: those of every module of `commands`, in the order of their panels."""
    gc.disable()  # nothing that is imported here is garbage, and looking for some takes longer than the commands do
    from genkit.cli.app import PANELS, app

    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{module.name}")
    gc.freeze()
    gc.enable()
    app.registered_commands.sort(key=lambda command: PANELS.index(command.rich_help_panel))
    return app
