"""The rate-distortion plane of a sweep as a figure, for papers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from genkit.pictures.saving import save
from genkit.text import printable
from genkit_sweep.drawings import colours_of
from genkit_sweep.results import Figure, Group, Statistic, Summary, shown

SUFFIXES = (".svg", ".pdf")
COLOURS = ("#0072b2", "#c04f00", "#00805e", "#a14a85", "#1c1c1c", "#8a6d00", "#2b87c8", "#7d4bd0")
"""Those of pages, on paper."""


def write(summary: Summary, folder: Path) -> list[Path]:
    """Write the figure as .svg and .pdf; none where no run has a KL and a reconstruction.

    Raises:
        RunError: a file cannot be written.
    """
    from matplotlib.figure import Figure as Canvas

    rate, distortion = summary.figure("kl"), summary.figure("reconstruction")
    points = list(_points(summary, rate, distortion)) if rate is not None and distortion is not None else []
    if not points:
        return []
    canvas = Canvas(figsize=(5.5, 4.2), layout="constrained")
    axes = canvas.subplots()
    colours, key = colours_of(summary)
    labels = {value: f"{printable(key.rpartition('.')[2])} = {printable(shown(value))}" for value in colours}
    for group, r, d in points:
        value = group.options.get(key, "")
        label = labels.pop(value, None)  # one line of the legend for each value
        style = {"fmt": "o", "color": COLOURS[colours.get(value, 0)], "capsize": 2, "label": label}
        axes.errorbar(r.mean, d.mean, xerr=r.std, yerr=d.std, **style)  # type: ignore[arg-type]
    axes.set_xlabel("rate: KL(q(z|x) ‖ p(z)), nats per datum")
    axes.set_ylabel("distortion: reconstruction, nats per datum")
    if colours:
        axes.legend(frameon=False)
    return [save(canvas, folder / f"rate-distortion{suffix}") for suffix in SUFFIXES]


def _points(summary: Summary, rate: Figure, distortion: Figure) -> Iterator[tuple[Group, Statistic, Statistic]]:
    """The groups that have both figures, with their means and standard deviations."""
    for group in summary.groups:
        r, d = Statistic.of(rate.values(group.results)), Statistic.of(distortion.values(group.results))
        if r is not None and d is not None:
            yield group, r, d
