"""The application, with the arguments, options and messages that its commands share."""

from __future__ import annotations

import codecs
import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from genkit.text import printable

app = typer.Typer(
    help="Generative models with a latent space, from one config file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BROKEN = 1
USER_ERROR = 2
INTERRUPTED = 130

TRAIN, INSPECT, USE, SHARE, PLUGINS = "Train", "Inspect and compare", "Use a trained model", "Share a model", "Plugins"
PANELS = (TRAIN, INSPECT, USE, SHARE, PLUGINS)
"""The groups of commands in the help, in order; each command names its group."""

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The config of a run, a YAML file.")]
RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run's directory, a model.safetensors, or hf://USER/REPO.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Options that replace the config's, such as training.epochs=5."),
]
DataOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="data.KEY=VALUE", help="Options of the data that replace the run's, such as data.root=DIR."),
]
Out = Annotated[Path, typer.Option("--out", help="The file to write; its suffix determines the format.")]
OutOrPrint = Annotated[Path | None, typer.Option("--out", help="The file to write; by default it is printed.")]
SplitName = Annotated[str, typer.Option(help="Which split of the data to take: train, validation, test or all.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
License = Annotated[
    str | None, typer.Option(help="The model's license, by the Hub's name: apache-2.0, mit, cc-by-4.0, ...")
]
Seed = Annotated[int, typer.Option(min=0, help="The seed of the draws.")]


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from importlib.metadata import version as version_of

        say(f"genkit-torch {version_of('genkit-torch')}")
        raise typer.Exit


ASCII = {"−": "-", "–": "-", "×": "x", "…": "...", "↑": "^", "↓": "v", "‖": "||", "é": "e"}
"""The characters of genkit's own messages for terminals that have few characters."""


def any_terminal() -> None:
    """Let stdout and stderr take all text: characters that their encoding lacks become similar ones, or escapes."""
    codecs.register_error("similar", _similar)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="similar")


def _similar(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown, end = codecs.backslashreplace_errors(error)
    if error.object[error.start] in ASCII:
        shown, end = ASCII[error.object[error.start]], error.start + 1
    return shown, end


def say(*lines: object, error: bool = False) -> None:
    """Print lines on stdout, or on stderr; what foreign text in them would do to a terminal is shown as escapes."""
    for line in lines:
        print(printable(line), file=sys.stderr if error else sys.stdout)


def fail(message: str) -> NoReturn:
    """End with exit code 2 and a message on stderr; each of its lines begins with `error:`."""
    say(*(f"error: {line}" for line in message.split("\n")), error=True)
    raise SystemExit(USER_ERROR)


@contextmanager
def warning_lines() -> Iterator[None]:
    """Print each of genkit's own warnings as one line on stderr, without the place in the code."""
    from genkit.errors import GenkitWarning

    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, GenkitWarning):
            say(f"warning: {message}", error=True)
        else:
            usual(message, category, *place, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual
