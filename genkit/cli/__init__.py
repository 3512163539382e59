"""The command line. Each command is a few lines around the Python interface, which is imported when it runs."""

import atexit
import gc
import importlib
import os
import pkgutil
import traceback

from genkit.cli import commands
from genkit.cli.app import PANELS, app, fail, warning_lines

__all__ = ["app", "main"]


TRACEBACK = "GENKIT_TRACEBACK"
"""The environment variable that asks for the way to an error."""


def _add_commands() -> None:
    """Import every module of `commands`, which adds its command to the application, and put them in order."""
    gc.freeze()  # nothing that is imported is garbage, and looking for some takes longer than these imports
    gc.disable()
    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{module.name}")
    gc.freeze()
    gc.enable()
    app.registered_commands.sort(key=lambda command: PANELS.index(command.rich_help_panel))


def main() -> None:
    """The entry point: errors that the user can mend end in one message and exit code 2; warnings take a line each.

    With GENKIT_TRACEBACK=1 the way to an error is printed too, for those who write plugins.
    """
    from genkit.errors import GenkitError

    atexit.register(gc.freeze)  # or Python ends by looking for cycles in all of torch, which takes half a second
    try:
        with warning_lines():
            app()
    except GenkitError as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        fail(str(error))


_add_commands()
