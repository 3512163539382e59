"""The application, with the arguments, options and messages that its commands share."""

from __future__ import annotations

import codecs
import io
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.models import CommandInfo

from genkit.cli import completion, sources
from genkit.text import printable
from genkit.training.signals import handled

app = typer.Typer(
    help="Generative models with a latent space, from one config file.",
    epilog="First steps:\n\ngenkit run vae-digits\n\ngenkit sample last\n\ngenkit run --help",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BROKEN = 1
USER_ERROR = 2
INTERRUPTED = 130
TRACEBACK = "GENKIT_TRACEBACK"
"""The environment variable that asks for the traceback of an error."""

TRAIN, INSPECT, USE, SHARE, PLUGINS = "Train", "Inspect and compare", "Use a trained model", "Share a model", "Plugins"
PANELS = (TRAIN, INSPECT, USE, SHARE, PLUGINS)
"""The groups of commands in the help, in order; each command names its group."""
FIRST = ("run", "init", "examples")
"""The commands that come first in their group; the others follow in the order of their names."""


def lines_to_type(*lines: str) -> str:
    """The end of a command's help: lines to type."""
    return "\n\n".join(["Examples:", *lines])


def place(command: CommandInfo) -> tuple[int, int]:
    """The place of a command in the help: that of its group, and that in it."""
    name = command.name or getattr(command.callback, "__name__", "")
    return PANELS.index(str(command.rich_help_panel)), (*FIRST, name).index(name)


ConfigPath = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        help="The config of a run: a YAML file, or the name of an example, such as vae-digits.",
        callback=sources.config_of,
        autocompletion=completion.configs,
    ),
]
RunPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run by its directory, its name in runs/, or `last`; a model.safetensors; or hf://USER/REPO.",
        callback=sources.run_of,
        autocompletion=completion.runs,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Options that replace the config's, such as training.epochs=5.",
        autocompletion=completion.assignments,
    ),
]
DataOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="data.KEY=VALUE",
        help="Options of the data that replace the run's, such as data.root=DIR.",
        autocompletion=completion.data_assignments,
    ),
]
Out = Annotated[Path, typer.Option("--out", help="The file to write; its suffix determines the format.")]
OutOrPicture = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="The file to write; its suffix determines the format; by default a new picture here, or .csv for a table.",
        show_default=False,
    ),
]
OutOrPrint = Annotated[Path | None, typer.Option("--out", help="The file to write; by default it is printed.")]
SplitName = Annotated[
    str | None,
    typer.Option(
        help="Which split of the data to take: train, validation, test or all; by default test, and all of a file that "
        "the model has not seen.",
        show_default=False,
        autocompletion=completion.splits,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", is_eager=True, help="Print nothing on stderr but errors."),  # eager: before sources
]
License = Annotated[
    str | None, typer.Option(help="The model's license, by the Hub's name: apache-2.0, mit, cc-by-4.0, ...")
]
AcceptChanges = Annotated[
    bool, typer.Option("--accept-changes", help="Go on although the data or the config are not those of the training.")
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME[.KEY=VALUE]",
        help="A metric beside those of the config, such as nll, or an option of one, such as nll.draws=500; may be "
        "repeated.",
        autocompletion=completion.metrics,
    ),
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


class _Lasting(io.FileIO):
    """A stream whose reader may go, as `head` does: what is still to come is dropped, and the work goes on."""

    def write(self, data: Any) -> int:
        """Write bytes to the reader, if there is one."""
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def any_terminal() -> None:
    """Let stdout and stderr take all text: characters that their encoding lacks become similar ones, or escapes.

    A reader that goes away, as `head` does, ends nothing.
    """
    codecs.register_error("similar", _similar)
    sys.stdout, sys.stderr = map(_lasting, (sys.stdout, sys.stderr), (sys.__stdout__, sys.__stderr__))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="similar")


def _lasting(stream: TextIO, own: TextIO | None) -> TextIO:
    """The process's own stream, made lasting; any other stream as it is."""
    if stream is not own or type(stream) is not io.TextIOWrapper:
        return stream
    stream.flush()
    raw = io.BufferedWriter(_Lasting(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(raw, stream.encoding, line_buffering=stream.line_buffering)


@contextmanager
def at_once() -> Iterator[None]:
    """End at once where a signal comes in the block: libraries that are being imported would swallow it."""
    with handled(_end_at_once):
        yield


def _end_at_once(number: int, _: object) -> NoReturn:
    os.write(2, b"interrupted before training started; nothing was written\n")
    os._exit(128 + number)


def _similar(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown, end = codecs.backslashreplace_errors(error)
    if error.object[error.start] in ASCII:
        shown, end = ASCII[error.object[error.start]], error.start + 1
    return shown, end


def say(*lines: object, error: bool = False) -> None:
    """Print lines on stdout, or on stderr; what foreign text in them would do to a terminal is shown as escapes."""
    stream: TextIO | None = sys.stderr if error else sys.stdout
    if stream is None:  # it is closed, and print would take stdout in its place
        return
    for line in lines:
        print(printable(line), file=stream)


def say_way(error: BaseException) -> None:
    """Print the traceback of an error on stderr, where the environment asks for it."""
    if os.environ.get(TRACEBACK):
        say(*"".join(traceback.format_exception(error)).splitlines(), error=True)


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
