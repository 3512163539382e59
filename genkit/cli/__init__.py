"""The command line. Each command is a few lines around the Python interface, which is imported when it runs."""

from genkit.cli import files, models, plugins, share, train
from genkit.cli.app import app, fail, warning_lines

__all__ = ["app", "files", "main", "models", "plugins", "share", "train"]


def main() -> None:
    """The entry point: errors that the user can mend end in one message and exit code 2; warnings take a line each."""
    from genkit.errors import GenkitError

    try:
        with warning_lines():
            app()
    except GenkitError as error:
        fail(str(error))
