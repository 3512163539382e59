"""The command `genkit report RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.record.directory import RunDirectory
from genkit.record.outputs import output_file
from genkit.sharing.facts import gather
from genkit_report import FILE
from genkit_report.run_page import text


def report_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a finished run.")],
    out: Annotated[Path | None, typer.Option("--out", help="The page to write; by default report.html in RUN.")] = None,
) -> None:
    """Write the report of a run: one page in HTML that works offline."""
    directory = RunDirectory.open(run)
    facts = gather(run)
    with output_file(out or directory.path / FILE) as temporary:
        temporary.write_text(text(facts, directory, facts.verdict()), encoding="utf-8")
    typer.echo(out or directory.path / FILE)
