"""genkit check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import tables
from genkit.cli.app import TRAIN, USER_ERROR, ConfigPath, Json, Overrides, app, lines_to_type, say

if TYPE_CHECKING:
    from genkit.runs.preflight import Report


@app.command(
    rich_help_panel=TRAIN,
    epilog=lines_to_type("genkit check my.yaml", "genkit check vae-digits training.batch_size=256"),
)
def check(
    config: ConfigPath,
    overrides: Overrides = None,
    probe: Annotated[bool, typer.Option(help="Whether to time a few training steps.")] = True,
    as_json: Json = False,
) -> None:
    """Find the faults of a config, its parts and its data before any training, and estimate the cost of a run."""
    from genkit.runs.opening import as_config
    from genkit.runs.placing import placed_lines
    from genkit.runs.preflight import check as report_on

    report = report_on(as_config(config, overrides or ()), probe)
    report.errors = placed_lines(report.errors, config, overrides or ())
    if as_json:
        tables.print_json(report.to_json())
    else:
        show(report)
    if report.errors:
        raise SystemExit(USER_ERROR)


def show(report: Report) -> None:
    """Print a report, its errors last and on stderr."""
    if report.shape is not None and report.range is not None:
        counts = ", ".join(f"{count:,} {name}" for name, count in report.counts.items())
        size = "×".join(map(str, report.shape))
        say(f"data: {counts}; {size}, values from {report.range[0]:.4g} to {report.range[1]:.4g}")
        say(f"data are taken as: {'; '.join(report.notes)}")
    if report.parameters is not None:
        say(f"model: {report.parameters:,} parameters")
    if report.bytes is not None:
        free = "" if report.free is None else f"; {report.free / 2**20:,.0f} MiB are free"
        say(f"memory: about {report.bytes / 2**20:,.0f} MiB beside the libraries' own{free}")
    if report.seconds is not None:
        say(f"time: about {report.seconds:.3g} s per epoch of {report.steps:,} steps, not compiled")
    for doubt in report.doubts:
        say(f"note: {doubt}")
    for error in report.errors:
        say(f"error: {error}", error=True)
    if not report.errors:
        say("no errors; see the notes" if report.doubts else "nothing is wrong")
