"""What commands print: rows of a model, figures, JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from genkit.evaluation.sample_quality import SampleQuality
from genkit.model.summary import Row
from genkit.registry.schema import described
from genkit.runs.comparison import Comparison

if TYPE_CHECKING:
    from genkit.runs.preflight import Report
    from genkit.sharing.push import Inspection
    from genkit.testing.targets import PartReport


def print_json(value: Any) -> None:
    """Plain values as JSON."""
    print(json.dumps(value, indent=2))


def print_figures(figures: dict[str, Any], above: str = "") -> None:
    """A line a figure; of a long list its least, mean and greatest."""
    for name, value in figures.items():
        if isinstance(value, dict):
            print_figures(value, f"{name}.")
        elif isinstance(value, list) and len(value) > 20:
            print(f"{above + name:22} {min(value):.3f} to {max(value):.3f}, mean {sum(value) / len(value):.3f}")
        elif isinstance(value, list):
            print(f"{above + name:22} {' '.join(f'{number:.3f}' for number in value)}")
        elif value is not None:
            print(f"{above + name:22} {value:.4f}" if isinstance(value, float) else f"{above + name:22} {value}")


def print_rows(rows: list[Row]) -> None:
    """The table of a model; layers that read the same input share a line."""
    table = Table(box=None, pad_edge=False)
    table.add_column("layer", overflow="fold")
    table.add_column("type")
    table.add_column("output shape")
    table.add_column("parameters", justify="right")
    lines: list[list[Row]] = []
    for row in rows:
        if row.parallel:
            lines[-1].append(row)
        else:
            lines.append([row])
    for line in lines:
        types = [row.type + (f" + {row.activation}" if row.activation else "") for row in line]
        shapes = ["×".join(map(str, row.shape)) for row in line]
        counts = [f"{row.parameters:,}" for row in line]
        table.add_row(*(" | ".join(cells) for cells in (_side_by_side(line), types, shapes, counts)))
    console = Console(markup=False)
    console.print(table)
    console.print(f"{sum(row.parameters for row in rows):,} parameters", highlight=False)


def _side_by_side(line: list[Row]) -> list[str]:
    """`sampler.mean`, `log_var`: what follows the first leaves out the path that they share."""
    above = line[0].name.rpartition(".")[0]
    return [line[0].name, *(row.name.removeprefix(f"{above}.") for row in line[1:])]


def print_plugins(rows: list[dict[str, Any]]) -> None:
    """A paragraph a plugin."""
    for row in rows:
        print(f"{row['name']}  ({row['distribution']} {row['version']})".replace(" )", ")"))
        for label in ("components", "events", "problems", "notes"):
            if row[label]:
                print(f"    {label}: {', '.join(row[label])}")


def print_check(report: Report) -> None:
    """What was found, errors last and on stderr."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    if report.shape is not None and report.range is not None:
        counts = ", ".join(f"{count:,} {name}" for name, count in report.counts.items())
        size = "×".join(map(str, report.shape))
        console.print(f"data: {counts}; {size}, values from {report.range[0]:.4g} to {report.range[1]:.4g}")
    if report.parameters is not None:
        console.print(f"model: {report.parameters:,} parameters")
    if report.bytes is not None:
        free = "" if report.free is None else f"; {report.free / 2**20:,.0f} MiB are free"
        console.print(f"memory: about {report.bytes / 2**20:,.0f} MiB beside the libraries' own{free}")
    if report.seconds is not None:
        console.print(f"time: about {report.seconds:.3g} s an epoch of {report.steps:,} steps, not compiled")
    for doubt in report.doubts:
        console.print(f"note: {doubt}")
    for error in report.errors:
        print(f"error: {error}", file=sys.stderr)
    if not report.errors:
        console.print("no errors; see the notes" if report.doubts else "nothing is wrong")


OF_A_PLUGIN = ("registration", "expected failures")
"""The lines of a contract's table that are no checks of a part."""


def print_contract(reports: list[PartReport]) -> None:
    """A paragraph a part, a line a check."""
    for report in reports:
        print(f"{report.part}  ({report.owner})")
        for result in report.results:
            said = f"{result.status}: {result.message}" if result.message else result.status
            print(f"    {result.check:32} {said}")
        if report.problem is not None:
            print(f"    not checked: {report.problem}")
    counts = Counter(result.status for report in reports for result in report.results)
    if any(result.status == "FAILED" and result.check not in OF_A_PLUGIN for r in reports for result in r.results):
        print('what a part cannot keep by design is marked in its class: expected_failures = {"CHECK": "the reason"}')
    print(", ".join(f"{count} {status}" for status, count in counts.most_common()) or "nothing is checked")


def print_part(title: str, owner: str, documentation: str, options: dict[str, Any]) -> None:
    """A component's documentation, and a table of its options."""
    console = Console(markup=False, highlight=False)
    console.print(f"{title}  ({owner})\n\n{documentation}\n", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in ("option", "type", "default", "what"):
        table.add_column(column, overflow="fold")
    for option in described(options):
        table.add_row(option.name, option.type, option.default or "needed", option.what)
    console.print(table)


def print_inspection(found: Inspection) -> None:
    """What a model file is, the plugins that it was made with, and what to install where some are missing."""
    shape = " × ".join(map(str, found.data.shape))
    size = "" if found.parameters is None else f"; {found.parameters:,} parameters"
    print(f"{found.path}\nsha256 {found.sha256}")
    print(f"{found.name}: for {found.data.source}, data of shape {shape}{size}")
    for finding in found.plugins:
        record = finding.record
        print(f"{record.owner} ({', '.join(record.components)}): {finding.message or finding.state}")
    print("cannot be loaded here" if found.problem else "can be loaded here")
    if found.problem:
        print("\n".join(filter(None, (found.problem, found.install))))


def print_comparison(comparison: Comparison) -> None:
    """Two tables: what each model took and reaches, and how good its samples are beside real data."""
    console = Console(markup=False)
    fitted = _table("run", "parameters", "epochs", "training", "data/s", "ELBO", "reconstruction", "KL")
    for entry in comparison.entries:
        figures = entry.evaluation
        fitted.add_row(
            entry.name,
            f"{entry.parameters:,}",
            *_cells((entry.epochs, "d"), (entry.seconds, ".0f"), (entry.examples_per_second, ",.0f")),
            *_cells((figures.elbo, ".2f"), (figures.reconstruction, ".2f"), (figures.kl, ".2f")),
        )
    console.print(fitted)
    console.print("training in seconds; ELBO and its parts on the test split, in nats per datum\n", highlight=False)
    judged = _table("samples of", "Fréchet", "KID ± error", "prec.", "recall", "dens.", "cover.", "1-NN", "classes")
    for entry in comparison.entries:
        judged.add_row(entry.name, *_quality(entry.samples))
    judged.add_section()
    judged.add_row("floor", *_quality(comparison.floor))
    console.print(judged)
    console.print(
        f"{comparison.floor.count:,} samples against as many test data, in {comparison.features}\n"
        "floor: training data in place of samples. Fréchet and KID: 0 is best; 1-NN: 0.5; the others: 1",
        highlight=False,
    )


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _quality(samples: SampleQuality | None) -> list[str]:
    if samples is None:
        return ["–"] * 8
    return [
        *_cells((samples.frechet, ".2f")),
        f"{samples.kid:.3f}±{samples.kid_error:.3f}",
        *_cells((samples.precision, ".3f"), (samples.recall, ".3f"), (samples.density, ".3f")),
        *_cells((samples.coverage, ".3f"), (samples.two_sample, ".3f"), (samples.classes, ".0%")),
    ]


def _cells(*values: tuple[float | None, str]) -> list[str]:
    """Numbers in their formats; a dash for what is not known."""
    return ["–" if value is None else format(value, form) for value, form in values]
