"""Commands that train."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from genkit.cli.app import INTERRUPTED, ConfigPath, Overrides, app


@app.command()
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="The run's directory; by default a new one in runs/.")] = None,
) -> None:
    """Train what a config describes; prints the run's directory last."""
    import genkit

    with _following() as progress:
        finished = genkit.run(config, overrides or (), out=out, listeners=[progress])
    _show_finished(finished.directory)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of an interrupted run.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Train up to so many epochs in all.")] = None,
) -> None:
    """Go on with an interrupted run, as if it had never stopped."""
    import genkit

    with _following() as progress:
        finished = genkit.resume(run, epochs=epochs, listeners=[progress])
    _show_finished(finished.directory)


@contextmanager
def _following() -> Iterator[Any]:
    """A progress bar for a run; Ctrl-C says how to go on."""
    from rich.console import Console

    from genkit.cli.progress import ProgressBar
    from genkit.parallel import group

    progress = ProgressBar(Console(quiet=not group.is_leader()))
    try:
        yield progress
    except KeyboardInterrupt:
        if progress.run is None:
            print("interrupted before training started; nothing was written", file=sys.stderr)
        else:
            done, directory = len(progress.run.history), progress.run.directory.path
            print(
                f"interrupted; {done} whole epochs are kept. To go on: genkit resume {directory}",
                file=sys.stderr,
            )
        raise SystemExit(INTERRUPTED) from None


def _show_finished(directory: Any) -> None:
    from genkit.parallel import group

    if not group.is_leader():
        return
    print(f"pictures: {directory.pictures}")
    print(f"weights: {directory.model}")
    print(directory.path)
