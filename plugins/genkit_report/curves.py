"""Curves over the epochs: each figure that a run records once, of one run or of several.

A figure that repeats another, as the objective of one term does, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from genkit.interfaces import NATS
from genkit.pages.charts import Chart, Line, Values
from genkit.record.scores import EpochRecord, Scores

SAME = 1e-4
"""The relative difference below which two curves are the same."""


class Curve(NamedTuple):
    """A figure over the epochs."""

    title: str
    sentence: str
    unit: str = NATS


OBJECTIVE = Curve("objective", "The weighted sum of the terms, which training minimizes.")
MIRRORED = "The weighted sum of the terms, which training minimizes: here it is −ELBO."
ELBO = Curve("evidence lower bound (ELBO) ↑", "−reconstruction − KL, whatever the weights.")
RECONSTRUCTION = Curve("reconstruction, E[−log p(x|z)] ↓", "The mean over draws of z from q(z|x).")
KL = Curve("KL(q(z|x) ‖ p(z))", "The divergence of the posterior from the prior.")
RATE = Curve("learning rate", "In the last step of each epoch.", "")


def of_run(history: Sequence[EpochRecord]) -> list[Chart]:
    """The curves of a run, training data and validation data in one chart."""
    train = _by_curve([record.train for record in history])
    held_out = _by_curve([record.validation for record in history])
    epochs = [record.epoch for record in history]
    charts = []
    for curve, values in _distinct(train).items():
        is_mirrored = curve == OBJECTIVE and _is_mirrored(train)
        shown = curve._replace(sentence=MIRRORED) if is_mirrored else curve
        charts.append(_chart(shown, epochs, {"training": values, "validation": held_out.get(curve, [])}))
    weights = {name: [record.weights.get(name) for record in history] for name in history[-1].weights if history}
    changing = {name: values for name, values in weights.items() if len({*values}) > 1}
    if changing:
        charts.append(_chart(Curve("weights of the terms", "At the last step of each epoch.", ""), epochs, changing))
    rates = [record.lr for record in history]
    return [*charts, _chart(RATE, epochs, {"learning rate": rates})] if len({*rates}) > 1 else charts


def of_several(histories: Mapping[str, Sequence[EpochRecord]]) -> list[Chart]:
    """The curves of several runs, a line for each: of validation data where all runs have some."""
    is_held_out = all(record.validation is not None for history in histories.values() for record in history)
    epochs = sorted({record.epoch for history in histories.values() for record in history})
    runs = {name: _of_epochs(history, epochs, is_held_out) for name, history in histories.items()}
    curves = dict.fromkeys(curve for values in runs.values() for curve in values)
    split = "Of validation data." if is_held_out else "Of training data."
    return [
        _chart(
            curve._replace(sentence=f"{curve.sentence} {split}"),
            epochs,
            {name: values.get(curve, ()) for name, values in runs.items()},
        )
        for curve in sorted(curves, key=_rank)
        if curve.title in {each.title for each in RANKED} or curve.title.startswith(CRITIC)
    ]


RANKED = (ELBO, RECONSTRUCTION, KL, OBJECTIVE)
"""The curves of several runs, those first that can be compared."""
CRITIC = "critic of "


def _rank(curve: Curve) -> int:
    titles = [each.title for each in RANKED]
    return titles.index(curve.title) if curve.title in titles else len(titles)


def _of_epochs(history: Sequence[EpochRecord], epochs: Iterable[int], is_held_out: bool) -> dict[Curve, Values]:
    """The curves of a run over the epochs of all runs."""
    scores = {record.epoch: record.validation if is_held_out else record.train for record in history}
    return _by_curve([scores.get(epoch) for epoch in epochs])


def _by_curve(scores: Sequence[Scores | None]) -> dict[Curve, Values]:
    """The values of each curve; None where there are no scores, or scores without the figure."""
    each = [{} if one is None else _values(one) for one in scores]
    curves = dict.fromkeys(curve for values in each for curve in values)
    return {curve: [values.get(curve) for values in each] for curve in curves}


def _values(scores: Scores) -> dict[Curve, float]:
    values: dict[Curve, float | None] = {OBJECTIVE: scores.loss, ELBO: scores.elbo}
    values |= {RECONSTRUCTION: scores.reconstruction, KL: scores.kl}
    values |= {Curve(f"term {name}", "Without its weight."): value for name, value in scores.terms.items()}
    values |= {
        Curve(f"{CRITIC}{name}", "The loss that the critic minimizes."): value for name, value in scores.critics.items()
    }
    return {curve: value for curve, value in values.items() if value is not None}


def _distinct(curves: Mapping[Curve, Values]) -> dict[Curve, Values]:
    """The curves without those that repeat one before them, and without an ELBO that is the objective upside down."""
    distinct: dict[Curve, Values] = {}
    for curve, values in curves.items():
        is_repeated = any(_same(values, own) for own in distinct.values())
        if not is_repeated and not (curve == ELBO and _is_mirrored(curves)):
            distinct[curve] = values
    return distinct


def _is_mirrored(curves: Mapping[Curve, Values]) -> bool:
    """Whether the objective is −ELBO in all epochs."""
    elbo = [None if value is None else -value for value in curves.get(ELBO, ())]
    return bool(elbo) and _same(curves[OBJECTIVE], elbo)


def _same(one: Values, other: Values) -> bool:
    return all(
        left is not None and right is not None and math.isclose(left, right, rel_tol=SAME)
        for left, right in zip(one, other, strict=True)
    )


def _chart(curve: Curve, epochs: Sequence[int], lines: Mapping[str, Values]) -> Chart:
    """The chart of a curve: lines without a value are left out, and those that stay keep their style."""
    there = [
        Line(name, values, style)
        for style, (name, values) in enumerate(lines.items())
        if any(value is not None for value in values)
    ]
    return Chart(curve.title, there, epochs, "epoch", curve.unit, curve.sentence)
