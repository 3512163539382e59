"""The command `genkit sweep CONFIG KEY=A,B,C...`: many runs of a config, and their comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.cli.app import Quiet, at_once


def _source(context: typer.Context, config: Path) -> Path:
    """The directory of a sweep as it is; else the file of a config, or of an example by its name."""
    from genkit.cli.sources import config_of

    return config if (config / "sweep.json").is_file() else config_of(context, config)


def sweep_command(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="A config, the name of an example, or a sweep's directory to go on with.",
            callback=_source,
        ),
    ],
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=A,B,C",
            help="Options with their values: a list by commas, whole numbers from 0 to 4 as 0..4; one value holds for "
            "all runs. Values in brackets or braces stay whole.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many runs at a time.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="The sweep's directory; by default sweeps/NAME. One that is there goes on.")
    ] = None,
    search: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Let Optuna choose N runs; ranges may be of real numbers: 1e-4..1e-2."),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="An option whose range is searched on a logarithmic scale; may be repeated."),
    ] = None,
    search_seed: Annotated[int, typer.Option(min=0, help="The seed of the search.")] = 0,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="FIGURE[:lower|:higher]",
            help="The figure of the validation data that ranks the runs; by default the ELBO, or the loss where there "
            "is none.",
            show_default=False,
        ),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run those again that have failed.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a config with many values of its options, several seeds included, and compare the runs.

    The same command, or `genkit sweep DIRECTORY`, goes on with a sweep that was interrupted, on other machines at the
    same time too. Stdout gets the directory alone, which has the results: sweep.html, table.csv, table.md, table.tex.
    """
    with at_once():
        from genkit_sweep.whole import Request, sweep

    sweep(Request(config, tuple(options or ()), jobs, out, search, tuple(log or ()), search_seed, by, retry, quiet))
