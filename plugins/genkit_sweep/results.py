"""The results of a sweep: groups of runs that differ by their seeds alone, best first, and their figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from genkit.interfaces import Description
from genkit_sweep.axes import SEED, short_names
from genkit_sweep.directory import Result
from genkit_sweep.figures import METRICS, Ranking

MAIN = ("elbo", "reconstruction", "kl", "active_units")
"""The figures of the test split that tables show beside those of metrics."""
UPPER = {"elbo": "ELBO", "kl": "KL"}


class Figure(NamedTuple):
    """A figure of a split, as a column of a table."""

    split: str
    key: str
    about: Description

    @property
    def name(self) -> str:
        """A short name: `ELBO`, `active units`."""
        last = self.key.removeprefix(METRICS)
        return UPPER.get(last, last.replace("_", " "))

    @property
    def title(self) -> str:
        """The name with its better direction."""
        return f"{self.name} {self.about.arrow}".strip()

    def values(self, results: Iterable[Result]) -> list[float]:
        """The values of those runs that have it."""
        key = f"{self.split}.{self.key}"
        return [result.figures[key] for result in results if key in result.figures]

    def text(self, value: float) -> str:
        """A value, or a mean of whole numbers, as text."""
        form = ",.1f" if self.about.form.endswith("d") and not value.is_integer() else self.about.form
        return format(int(value) if form.endswith("d") else value, form)


class Statistic(NamedTuple):
    """A mean over the runs of a group, and its sample standard deviation."""

    mean: float
    std: float | None
    """None: there is one run."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistic | None:
        """The statistic of values; None where there are none."""
        if not values:
            return None
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


class Group(NamedTuple):
    """Runs with the same options but for their seeds."""

    options: Mapping[str, str]
    results: tuple[Result, ...]
    cost: float
    """The mean of the figure that ranks, the lower the better; infinite where a run lacks it."""


class Summary(NamedTuple):
    """The results of a sweep."""

    name: str
    ranking: Ranking
    groups: tuple[Group, ...]
    """Best first."""
    failed: tuple[Result, ...]
    ranks: bool
    """Whether there are figures to rank by."""
    figures: tuple[Figure, ...]
    """All figures that some run has."""

    @property
    def keys(self) -> list[str]:
        """The options that tell groups apart."""
        return list(self.groups[0].options) if self.groups else []

    @property
    def names(self) -> list[str]:
        """Their short names."""
        return list(short_names(self.keys).values())

    @property
    def done(self) -> list[Result]:
        """All runs that are done."""
        return [result for group in self.groups for result in group.results]

    @property
    def main(self) -> list[Figure]:
        """The figures that tables show: the one that ranks first, then those of the test split."""
        first = [each for each in self.figures if (each.split, each.key) == ("validation", self.ranking.key)]
        shown = [each for each in self.figures if each.key in MAIN or each.key.startswith(METRICS)]
        split = "test" if any(each.split == "test" for each in shown) else "validation"
        return first + [each for each in shown if each.split == split and each not in first]

    def figure(self, key: str) -> Figure | None:
        """A figure of the validation data, or of the test data where there are no others."""
        each = {one.split: one for one in self.figures if one.key == key}
        return each.get("validation", each.get("test"))


def summary(name: str, results: Iterable[Result], ranking: Ranking, described: Mapping[str, Description]) -> Summary:
    """The summary of the results so far.

    Args:
        name: the name of the sweep.
        results: the results of the runs.
        ranking: the figure that ranks.
        described: the descriptions of figures, by key.
    """
    results = list(results)
    done = [result for result in results if result.state == "done"]
    alike: dict[tuple[tuple[str, str], ...], list[Result]] = {}
    for result in done:
        options = tuple((key, value) for key, value in result.options.items() if key != SEED)
        alike.setdefault(options, []).append(result)
    groups = [Group(dict(options), tuple(each), _cost(each, ranking)) for options, each in alike.items()]
    groups.sort(key=lambda group: group.cost)  # stable: what is not ranked stays in its order
    figures = [
        Figure(split, key, about)
        for split in ("validation", "test")
        for key, about in described.items()
        if any(f"{split}.{key}" in result.figures for result in done)
    ]
    failures = tuple(result for result in results if result.state == "failed")
    ranks = any(math.isfinite(group.cost) for group in groups)
    return Summary(name, ranking, tuple(groups), failures, ranks, tuple(figures))


def _cost(results: Sequence[Result], ranking: Ranking) -> float:
    values = [ranking.value(result) for result in results]
    numbers = [value for value in values if value is not None]
    return ranking.sign * statistics.fmean(numbers) if len(numbers) == len(values) else math.inf


def brief(options: Mapping[str, str]) -> str:
    """Options with their short names on one line: `latent=2 seed=0`."""
    names = short_names(options)
    return " ".join(f"{names[key]}={shown(value)}" for key, value in options.items())


def shown(value: str) -> str:
    """A value of an option as tables show it: a real number has four digits."""
    try:
        number = float(value)
    except ValueError:
        return value
    return (
        value if value.lstrip("+-").isdecimal() or not math.isfinite(number) else min(value, f"{number:.4g}", key=len)
    )
