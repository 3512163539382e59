"""The command line. Each command is a few lines around the Python interface, which is imported when it runs."""

import atexit
import gc
import os
import traceback

from genkit.cli import files, models, plugins, share, train
from genkit.cli.app import app, fail, warning_lines

__all__ = ["app", "files", "main", "models", "plugins", "share", "train"]


TRACEBACK = "GENKIT_TRACEBACK"
"""The environment variable that asks for the way to an error."""


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
