"""genkit check-plugin."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from genkit.cli import completion, tables
from genkit.cli.app import BROKEN, PLUGINS, Json, app, fail, lines_to_type, say, say_way

if TYPE_CHECKING:
    from genkit.testing.targets import PartReport

PLUGIN_CHECKS = ("registration", "expected failures")
"""The checks of a plugin, in contrast to those of a part."""


@app.command(
    rich_help_panel=PLUGINS, epilog=lines_to_type("genkit check-plugin encoder/mlp", "genkit check-plugin ./mine.py")
)
def check_plugin(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A distribution, a plugin, one part, such as encoder/mlp, or a file, such as ./mine.py.",
            autocompletion=completion.parts,
        ),
    ],
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Options of the part; where NAME brings several parts: KIND/NAME.KEY=VALUE."
        ),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            help="A shape of one datum to check with, such as 3,32,32, in place of the usual ones; may be repeated."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that a plugin's parts keep what their interfaces promise; exit code 1 if one does not."""
    from genkit.testing.targets import examine, shape_of

    reports = examine(name, options or (), [shape_of(text) for text in shape] if shape else None)
    for cause in (cause for report in reports for cause in report.causes):
        say_way(cause)
    if as_json:
        tables.print_json([report.to_json() for report in reports])
    else:
        show(reports)
    if any(report.broken for report in reports):
        raise SystemExit(BROKEN)
    if problems := [report.problem for report in reports if report.problem]:
        fail("\n".join(problems))


def show(reports: list[PartReport]) -> None:
    """Print a paragraph per part, with a line per check."""
    for report in reports:
        say(f"{report.part}  ({report.owner})")
        for result in report.results:
            outcome = f"{result.status}: {result.message}" if result.message else result.status
            say(f"    {result.check:32} {outcome}")
        if report.problem is not None:
            say(f"    not checked: {report.problem}")
    counts = Counter(result.status for report in reports for result in report.results)
    if any(result.status == "FAILED" and result.check not in PLUGIN_CHECKS for r in reports for result in r.results):
        say('what a part cannot keep by design is marked in its class: expected_failures = {"CHECK": "the reason"}')
    say(", ".join(f"{count} {status}" for status, count in counts.most_common()) or "nothing is checked")
