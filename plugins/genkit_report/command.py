"""The command `genkit report RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genkit.errors import RunError
from genkit.pictures import plots
from genkit.pictures.saving import FORMATS
from genkit.record.directory import RunDirectory
from genkit.record.outputs import output_file
from genkit.record.run_names import run_path
from genkit.runs.opening import reopen
from genkit.sharing.facts import Facts, gather
from genkit_report import FILE
from genkit_report.run_page import text

SUFFIXES = (".html", ".htm")
FIGURES = "figures"
"""The folder of the pictures, beside the page."""


def report_command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A finished run: its directory, its name in runs/, or `last`.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="The page to write; by default report.html in RUN.")] = None,
    figures: Annotated[
        str,
        typer.Option(metavar="svg,pdf,png", help="Draw the pictures too, in these formats, into figures/ beside it."),
    ] = "",
) -> None:
    """Write the report of a run: one page in HTML that works offline. Several runs: genkit compare A B --out x.html."""
    formats = _formats(figures)
    run = run_path(run)
    directory = RunDirectory.open(run)
    path = out or directory.path / FILE
    if path.suffix not in SUFFIXES:
        raise RunError(f"--out {path}: the page is a .html; call it {path.with_suffix('.html').name}")
    facts = gather(run)
    with output_file(path) as temporary:
        temporary.write_text(text(facts, directory, facts.verdict()), encoding="utf-8")
    if formats:
        typer.echo(_draw(facts, run, path.parent / FIGURES, formats))
    typer.echo(path)


def _formats(figures: str) -> list[str]:
    """The suffixes of the formats that the option names."""
    suffixes = [f".{word.strip().lower().removeprefix('.')}" for word in figures.split(",") if word.strip()]
    for suffix in suffixes:
        if suffix not in FORMATS:
            formats = ", ".join(each.removeprefix(".") for each in FORMATS)
            raise RunError(f"--figures {figures}: no format '{suffix.removeprefix('.')}'; choose of {formats}")
    return list(dict.fromkeys(suffixes))


def _draw(facts: Facts, run: Path, folder: Path, formats: list[str]) -> Path:
    _, data = reopen(run)
    plots.draw_all(facts.model, data, facts.history, folder, formats)
    return folder
