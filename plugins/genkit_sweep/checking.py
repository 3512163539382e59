"""The check of all runs of a sweep before the first one begins."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from genkit.config import RunConfig
from genkit.errors import ConfigError, GenkitError
from genkit.files import strict_json
from genkit.runs.opening import as_config
from genkit.runs.preflight import Report
from genkit.runs.preflight import check as report_on
from genkit_sweep.axes import SEED, Axis, Range

MOST = 20
"""The largest number of faults that are named."""


def samples(axes: Sequence[Axis]) -> list[tuple[str, ...]]:
    """Assignments that try each value and both ends of each range of a search, one axis at a time."""
    values = [list(_tried(axis)) for axis in axes]
    first = [each[0] for each in values]
    tried = [[*first[:place], value, *first[place + 1 :]] for place, each in enumerate(values) for value in each]
    return [tuple(each) for each, _ in itertools.groupby(sorted(map(tuple, tried or [first])))]


def _tried(axis: Axis) -> Iterator[str]:
    for item in axis.items:
        if isinstance(item, Range):
            ends = (item.low, item.high)
            yield from (f"{axis.key}={int(end) if item.is_whole else repr(end)}" for end in ends)
        else:
            yield f"{axis.key}={item}"


def check_all(config: Path, runs: Iterable[Sequence[str]]) -> tuple[list[RunConfig], list[Report]]:
    """The configs of all runs, and the reports of those that differ by more than their seeds.

    Args:
        config: the path of the config.
        runs: the assignments of each run.

    Raises:
        ConfigError: a run would fail; each fault is named once, with the options of the first run that has it.
    """
    configs: list[RunConfig] = []
    reports: dict[str, Report] = {}
    faults: dict[str, list[str]] = {}
    count = 0
    for count, assignments in enumerate(runs, 1):  # noqa: B007
        try:
            configs.append(as_config(config, assignments))
            alike = strict_json.dumps(configs[-1].model_copy(update={SEED: 0}).resolved())
            if alike not in reports:
                reports[alike] = report_on(configs[-1], probe=False)
            lines: Sequence[str] = reports[alike].errors
        except GenkitError as error:
            lines = error.args
        for line in lines:
            faults.setdefault(line, []).append(" ".join(assignments))
    if faults:
        lines = [_named(fault, labels, count) for fault, labels in faults.items()]
        more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
        raise ConfigError(*lines[:MOST], *more, "nothing was trained")
    return configs, list(reports.values())


def _named(fault: str, labels: Sequence[str], count: int) -> str:
    """A fault with the options of the first run that has it, unless it names one of them, or all runs have it."""
    return fault if fault.startswith("'") or len(labels) == count else f"{labels[0]}: {fault}"
