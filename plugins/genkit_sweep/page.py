"""The page of a sweep, sweep.html: its table, its drawings, its runs, and the command that repeats it."""

from __future__ import annotations

import shlex
from pathlib import Path

from genkit.examples import spelling
from genkit.pages import page
from genkit_sweep import drawings, tables
from genkit_sweep.axes import short_names
from genkit_sweep.directory import Plan, Result, SweepDirectory
from genkit_sweep.display import duration
from genkit_sweep.drawings import Box, signed
from genkit_sweep.results import Summary, shown

PLANE = Box(70, 20, 620, 400)
WIDTH = 110
"""The pixels between two axes of parallel coordinates, at least."""


def write(directory: SweepDirectory, plan: Plan, summary: Summary) -> Path:
    """Write the page; raises RunError where it cannot be written."""
    return page.write(directory.page, text(directory, plan, summary))


def text(directory: SweepDirectory, plan: Plan, summary: Summary) -> str:
    """The page as HTML.

    Args:
        directory: the directory of the sweep.
        plan: its plan.
        summary: its results.
    """
    count = len(summary.keys) + 3
    box = Box(60, 34, max(640, 60 + WIDTH * (count - 1)), 340)
    plane, parallel = drawings.plane(summary, PLANE), drawings.parallel(summary, box, plan.log)
    rows = [(options, [*map(signed, numbers)]) for options, numbers in tables.rows(summary, summary.main)]
    sections = {
        "table": ("Results", rows),
        "plane": ("Rate and distortion", plane),
        "parallel": ("Parallel coordinates", parallel),
        "runs": ("Runs", summary.done),
        "failed": ("Failed runs", summary.failed),
        "repeat": ("Repeat", True),
    }
    return page.render(
        "genkit_sweep",
        "sweep.html.j2",
        ("sweep.css", "sweep.js"),
        name=summary.name,
        summary=summary,
        introduction=_introduction(plan, summary),
        sections=[(id, label) for id, (label, content) in sections.items() if content],
        best=drawings.text_of(summary, summary.groups[0]) if summary.groups and summary.ranks else None,
        heads=[*summary.names, "runs", *(f"{figure.split} {figure.title}" for figure in summary.main)],
        rows=rows,
        legend=tables.legend(summary),
        plane=plane,
        parallel=parallel,
        groups=[drawings.text_of(summary, group) for group in summary.groups],
        runs=_runs(directory, summary),
        options=[*short_names(summary.done[0].options).values()] if summary.done else [],
        failed=[(result, tables.failure_line(result)) for result in summary.failed],
        command=command(plan, directory),
    )


def _introduction(plan: Plan, summary: Summary) -> str:
    """The size of the sweep, in a sentence."""
    kind = "a search" if plan.search is not None else "a grid"
    failures = f", {len(summary.failed)} failed" if summary.failed else ""
    seconds = duration(sum(result.seconds for result in summary.done))
    threads = "" if plan.threads is None else f", {plan.threads} {'thread' if plan.threads == 1 else 'threads'} each"
    return f"{Path(plan.config).name}: {kind}, {len(summary.done)} runs done{failures}; {seconds} of training{threads}"


def _runs(directory: SweepDirectory, summary: Summary) -> list[tuple[Result, str, list[str]]]:
    """Every run that is done, the address of its own page (empty: it has none), and its options and figures."""
    lines = []
    for result in sorted(summary.done, key=lambda result: result.number):
        pages = sorted(directory.run(result.number).path.glob("*.html"))
        address = "" if not pages else pages[0].relative_to(directory.path).as_posix()
        values = [figure.values([result]) for figure in summary.main]
        numbers = [
            signed(figure.text(each[0])) if each else "–" for figure, each in zip(summary.main, values, strict=True)
        ]
        lines.append((result, address, [*map(shown, result.options.values()), duration(result.seconds), *numbers]))
    return lines


def command(plan: Plan, directory: SweepDirectory) -> str:
    """The command that begins the same sweep."""
    words = ["genkit", "sweep", _own(plan.config, plan.folder), *plan.options]
    words += [] if plan.search is None else ["--search", str(plan.search), "--search-seed", str(plan.seed)]
    words += [word for key in plan.log for word in ("--log", key)] + ([] if plan.by is None else ["--by", plan.by])
    return shlex.join([*words, "--out", f"{directory.path.name}-again"])


def _own(path: str, folder: str) -> str:
    """A config as it is typed in a folder: an example by its name, a path without the folders above."""
    name = spelling(Path(path))
    if name != path:
        return name
    return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else Path(path).name
