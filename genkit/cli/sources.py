"""Configs and runs as they are typed: paths, names of examples and of runs, and `last`."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from genkit.text import printable


def config_of(context: typer.Context, config: Path) -> Path:
    """The file of a config; a line on stderr says which, where the word is no path of a file."""
    from genkit.examples import config_path

    path = config_path(config)
    if path != config and not context.resilient_parsing:
        _say_taken(context, "config", path)
    return path


def run_of(context: typer.Context, run: Path) -> Path:
    """The path of a run; a line on stderr says which, where the word is no path. RunError: there is no such run."""
    from genkit.errors import RunError
    from genkit.record.run_names import run_path

    if context.resilient_parsing:
        return run
    try:
        path = run_path(run)
    except RunError:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            raise
        return run  # one of several machines, which says what to do about it
    if path != run:
        _say_taken(context, "run", path)
    return path


def source_of(context: typer.Context, source: Path) -> Path:
    """The path of a config or of a run; of a run and an example of one name the run goes first."""
    from genkit.errors import RunError
    from genkit.examples import config_path

    if source.is_file() or context.resilient_parsing:
        return source
    try:
        return run_of(context, source)
    except RunError:
        if config_path(source) == source and source.suffix not in (".yaml", ".yml"):
            raise
    return config_of(context, source)


def runs_of(context: typer.Context, runs: list[str]) -> list[str]:
    """Paths of runs, with options of the data among them, which stay as they are."""
    return [run if "=" in run and not Path(run).exists() else str(run_of(context, Path(run))) for run in runs]


def _say_taken(context: typer.Context, what: str, path: Path) -> None:
    from genkit.examples import spelling

    if context.params.get("quiet"):
        return
    name = spelling(path)
    typer.echo(f"{what}: {printable(path) if name == str(path) else f'the example {name} of genkit'}", err=True)
