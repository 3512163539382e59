"""genkit watch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import completion, sources
from genkit.cli.app import BROKEN, INSPECT, INTERRUPTED, app, lines_to_type, say

if TYPE_CHECKING:
    from genkit.runs.watching import Watch

SECONDS_BETWEEN_LOOKS = 0.5


@app.command(rich_help_panel=INSPECT, epilog=lines_to_type("genkit watch last", "genkit watch vae-digits"))
def watch(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A run: its directory, its name in runs/, or `last`.",
            callback=sources.run_of,
            autocompletion=completion.runs,
        ),
    ],
) -> None:
    """Show a run that goes on in another process, until it ends; Ctrl-C ends the watching alone.

    The exit code is 0 where the run is finished, and 1 where it was interrupted, killed or failed.
    """
    from genkit.cli.tables import console, paragraph
    from genkit.record.directory import RunDirectory
    from genkit.record.state import Word
    from genkit.runs.watching import Watch

    directory = RunDirectory.open(run)
    watched = Watch(directory)
    try:
        _follow(watched)
    except KeyboardInterrupt:
        say(f"{directory.path} is no longer watched; it goes on", error=True)
        raise SystemExit(INTERRUPTED) from None
    paragraph(_ending(watched), console())
    if watched.state.word != Word.FINISHED:
        say(f"to go on: genkit resume {directory.path}")
        raise SystemExit(BROKEN)


def _follow(watched: Watch) -> None:
    """Show a run until it ends."""
    import time

    from genkit.cli.screen import Screen
    from genkit.cli.tables import console
    from genkit.record.state import Word

    screen = Screen(console(), lambda: watched.standing(time.time()))
    records, is_first = watched.look(), True
    screen.start()
    try:
        while True:
            has_ended = watched.state.word != Word.RUNNING
            if records:
                screen.say_notes(watched.notes())
                screen.line(watched.last_epoch(time.time()), always=is_first or has_ended)
                is_first = False
            if has_ended:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
            records = watched.look()
    finally:
        screen.stop()


def _ending(watched: Watch) -> str:
    """How a run ended, in words."""
    from genkit.record.state import Word

    path, done = watched.directory.path, len(watched.history)
    word, reason = watched.state
    if word == Word.FINISHED:
        return f"{path} is finished after {done} {'epoch' if done == 1 else 'epochs'}"
    how = {Word.INTERRUPTED: "was interrupted", Word.KILLED: "was killed"}
    epochs = f"{done} epochs" if watched.epochs is None else f"{done} of {watched.epochs} epochs"
    return f"{path} {how.get(word, 'failed')} after {epochs}" + (f": {reason}" if reason else "")
