"""The tables of a sweep: on the terminal, and as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from genkit.cli.tables import console as console_of
from genkit.files import markdown
from genkit.interfaces.metric import NATS
from genkit.text import printable
from genkit_sweep.directory import Result
from genkit_sweep.results import Figure, Group, Statistic, Summary, brief, shown

if TYPE_CHECKING:
    from rich.console import Console

PLUS_MINUS = " ± "
DENSITIES = ("data", "likelihood")
"""The groups of options that change what a density is of."""
TEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "#$%&_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "−": "$-$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
"""What LaTeX has for characters that it would obey, or that fonts lack."""


def cell(figure: Figure, group: Group) -> str:
    """The mean ± the standard deviation of a figure over the runs of a group; `–` where they have none."""
    values = figure.values(group.results)
    statistic = Statistic.of(values)
    if statistic is None:
        return "–"
    spread = "" if statistic.std is None else PLUS_MINUS + figure.text(statistic.std)
    partly = "" if len(values) == len(group.results) else f" ({len(values)})"
    return figure.text(statistic.mean) + spread + partly


def rows(summary: Summary, figures: list[Figure]) -> Iterator[tuple[list[str], list[str]]]:
    """The rows of a table: the options of each group, then its number of runs and its figures."""
    for group in summary.groups:
        yield (
            [shown(value) for value in group.options.values()],
            [str(len(group.results)), *(cell(figure, group) for figure in figures)],
        )


def legend(summary: Summary) -> list[str]:
    """What a table says, in sentences."""
    several = any(len(group.results) > 1 for group in summary.groups)
    what = "mean ± sample standard deviation over seeds" if several else "one run per row"
    ranking = summary.ranking
    title = Figure("validation", ranking.key, ranking.about).name
    order = (
        f"ranked by the {title} of the validation data, {'lowest' if ranking.better == 'lower' else 'highest'} first"
    )
    if not summary.ranks:
        lacking = "not all have a figure of validation data; test figures choose nothing"
        order = f"not ranked: {ranking.doubt or lacking}"
    names = [name for key, name in zip(summary.keys, summary.names, strict=True) if key.partition(".")[0] in DENSITIES]
    care = f"{', '.join(names)}: figures of other data, or of another kind of p(x|z), compare with care"
    in_nats = [*dict.fromkeys(figure.name for figure in summary.main if figure.about.unit == NATS)]
    units = f"{' and '.join(filter(None, (', '.join(in_nats[:-1]), *in_nats[-1:])))} in nats per datum"
    return [what, *([units] if in_nats else []), order, *([care] if names else [])]


def as_markdown(summary: Summary) -> str:
    """The table in Markdown, with the failed runs beneath."""
    figures = summary.main
    lines = [([markdown.code(option) for option in options], numbers) for options, numbers in rows(summary, figures)]
    heads = [f"{figure.split} {figure.title}" for figure in figures]
    text = markdown.table(
        [markdown.escaped(name) for name in summary.names],
        [[*options, *numbers] for options, numbers in lines],
        ["runs", *heads],
    )
    failures = "".join(f"\n- {markdown.escaped(failure_line(result))}" for result in summary.failed)
    below = "; ".join(legend(summary))
    return f"{text}\n\n{below[0].upper()}{below[1:]}.\n" + (f"\nFailed runs:\n{failures}\n" if failures else "")


def as_latex(summary: Summary) -> str:
    """The table in LaTeX, for the package booktabs; the best figure that ranks is bold."""
    figures = summary.main
    heads = [tex(name) for name in summary.names]
    heads += ["runs", *(tex(f"{figure.split} {figure.title}") for figure in figures)]
    lines = [
        "% \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{{'l' * len(summary.names)}{'r' * (1 + len(figures))}}}",
        "\\toprule",
        " & ".join(heads) + " \\\\",
        "\\midrule",
    ]
    for place, (options, numbers) in enumerate(rows(summary, figures)):
        cells = [_tex_number(number) for number in numbers]
        if place == 0 and summary.ranks and len(cells) > 1:
            cells[1] = f"\\textbf{{\\boldmath {cells[1]}}}"
        lines.append(" & ".join([*map(tex, options), *cells]) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", *(f"% {line}" for line in legend(summary)), ""])


def tex(text: str) -> str:
    """Any text as LaTeX that shows it literally."""
    return "".join(TEX.get(character, character) for character in printable(text))


def _tex_number(text: str) -> str:
    return "--" if text == "–" else "$" + text.replace(",", "{,}").replace("±", r"\pm").replace("%", r"\%") + "$"


def as_csv(summary: Summary) -> str:
    """Every figure of every group: its mean, and its standard deviation where there are several runs."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = [f"{figure.split}.{figure.key}" for figure in summary.figures]
    writer.writerow([*summary.keys, "runs", *(f"{name}.{what}" for name in columns for what in ("mean", "std"))])
    for group in summary.groups:
        numbers: list[float | str] = []
        for figure in summary.figures:
            statistic = Statistic.of(figure.values(group.results))
            numbers += ["", ""] if statistic is None else [statistic.mean, _or_empty(statistic.std)]
        writer.writerow([*group.options.values(), len(group.results), *numbers])
    return stream.getvalue()


def runs_as_csv(summary: Summary) -> str:
    """Every figure of every run, the failed ones with their errors last."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    results = sorted([*summary.done, *summary.failed], key=lambda result: (result.state, result.number))
    keys = list(dict.fromkeys(key for result in results for key in result.options))
    columns = [f"{figure.split}.{figure.key}" for figure in summary.figures]
    writer.writerow(["run", "state", *keys, "epochs", "seconds", *columns, "error"])
    for result in results:
        figures = [_or_empty(result.figures.get(name)) for name in columns]
        options = [result.options.get(key, "") for key in keys]
        line = [f"{result.number:04d}", result.state, *options, result.epochs, round(result.seconds, 3)]
        writer.writerow([*line, *figures, printable(result.error)])
    return stream.getvalue()


def _or_empty(number: float | None) -> float | str:
    return "" if number is None else number


def failure_line(result: Result) -> str:
    """A failed run on one line."""
    return f"{result.number:04d} ({brief(result.options)}): {result.error}"


def show(summary: Summary, console: Console | None = None) -> None:
    """Print the table, its last columns left out where they do not fit, and the failed runs."""
    from rich.table import Table

    console = console or console_of()
    if summary.groups:
        figures = summary.main
        while len(figures) > 1 and _width(summary, figures) > console.width:
            figures = figures[:-1]
        table = Table(box=None, pad_edge=False)
        for name in summary.names:
            table.add_column(f"\n{printable(name)}", overflow="fold")
        for head in ("\nruns", *(f"{figure.split}\n{figure.title}" for figure in figures)):
            table.add_column(head, justify="right", no_wrap=True)
        for options, numbers in rows(summary, figures):
            table.add_row(*map(printable, options), *numbers)
        console.print(table)
        for line in legend(summary):
            console.print(line)
    for result in summary.failed:
        console.print(f"failed: {printable(failure_line(result))}", soft_wrap=not console.is_terminal)


def _width(summary: Summary, figures: list[Figure]) -> int:
    """The columns of the terminal that a table takes."""
    lines = [[*options, *numbers] for options, numbers in rows(summary, figures)]
    heads = [*summary.names, "runs", *(max(each.split, each.title, key=len) for each in figures)]
    return sum(max(map(len, column)) + 2 for column in zip(heads, *lines, strict=True)) - 2
