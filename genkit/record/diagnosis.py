"""Diagnosis: what the records of a run say about it, in sentences; one set of rules for every place that says them.

A rule reads signals, and gives a sentence with a remedy, or None. It names no component: terms of the loss are told
apart by their values. A false alarm is as bad as a missed one, so a rule is silent where its signals are missing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from statistics import fmean
from typing import NamedTuple

from genkit.record.scores import EpochRecord
from genkit.record.signals import FALLING, Signals

SILENT = 0.1
"""The KL, in nats, below which latents of which none is active say next to nothing of the data."""
NO_KL = 0.01
"""The same where it is not known how many are active."""
LASTING = (10, 500)
"""The epochs and the steps for which a collapse has to last while a run goes on: many models leave it by themselves."""
NOTHING = 0.9
"""The fraction of variance unexplained from which the latents say nothing of the data."""
DEAD = 0.1
"""The share of dead units from which a code is worth a note."""
BEATEN = 0.1
"""The loss, in nats, below which a critic is right about nearly everything."""
PATIENCE = 5
"""The number of last epochs in which the validation loss has to be above its least to count as rising."""
RISE = 0.05
"""The rise of the validation loss that counts, as a part of the fall of the training loss."""
MISFIT = 10.0
"""How many times too narrow or too wide, in variance, a likelihood is that does not fit the data."""
SAME = 1e-4
"""The relative difference below which a term is the reconstruction or the KL itself."""


class Note(NamedTuple):
    """What a rule says."""

    rule: str
    """The name of the rule."""
    text: str
    """What it says, with a remedy."""


class Rule(NamedTuple):
    """A rule over signals."""

    name: str
    signal: str
    """When it speaks, in words."""
    remedy: str
    """What helps, in words."""
    sentence: Callable[[Signals], str | None]
    during: bool = False
    """Whether it speaks while a run goes on, too."""
    grave: bool = False
    """Whether a model of which it speaks is not alive, unless its latents are active."""


def diagnose(signals: Signals, during: bool = False) -> list[Note]:
    """What the rules say of signals.

    Args:
        signals: what is recorded so far.
        during: whether the run still goes on.
    """
    sentences = {rule.name: rule.sentence(signals) for rule in RULES if rule.during or not during}
    return [Note(name, sentence) for name, sentence in sentences.items() if sentence is not None]


def _unscaled(signals: Signals) -> str | None:
    return signals.unscaled


def _collapsed(signals: Signals) -> str | None:
    figures = signals.evaluation
    if figures is None:
        return _collapsing(signals)
    if figures.active_units != 0:
        return None
    if figures.unexplained is not None and figures.unexplained < NOTHING:
        return None
    what = "no latent dimension is active: the latents say nothing of the data"
    has_kl = figures.kl is not None
    return f"{what}{' (posterior collapse)' if has_kl else ''}; {_against_collapse(signals, has_kl)}"


def _collapsing(signals: Signals) -> str | None:
    """The same by the KL of the last epochs: it bounds what latents say of the data (Alemi 2018, arXiv:1711.00464)."""
    silent = list(itertools.takewhile(_silent, reversed(signals.history)))
    epochs, steps = LASTING
    if len(silent) < epochs or silent[0].steps - silent[-1].steps < steps or signals.falling:
        return None
    last = silent[0].validation or silent[0].train
    what = "no latent dimension has been active" if last.active_units == 0 else "the KL has been near 0"
    since = f"{what} since epoch {silent[-1].epoch:,}, and the KL is {last.kl:.2g} nats now"
    return f"{since}: the latents say nothing of the data (posterior collapse); {_against_collapse(signals, True)}"


def _silent(record: EpochRecord) -> bool:
    scores = record.validation or record.train
    limit = SILENT if scores.active_units == 0 else NO_KL
    return scores.kl is not None and not scores.active_units and abs(scores.kl) < limit


def _against_collapse(signals: Signals, has_kl: bool) -> str:
    if signals.unscaled is not None:
        return "mend the scale of the data first"
    if signals.falling:
        return "the loss is still falling: train for longer first"
    if len(signals.history) == 1:
        return "one epoch says little: train for longer first"
    if not has_kl:
        return "use another learning rate, or fewer layers"
    return "give the KL a smaller weight, or one that rises from 0 over more epochs"


def _dead(signals: Signals) -> str | None:
    figures = signals.evaluation
    if figures is None or figures.code is None or figures.code.dead < DEAD:
        return None
    units = len(figures.code.mean_activation)
    return (
        f"{round(figures.code.dead * units):,} of the {units:,} units of the code are dead: active for no datum of the "
        f"{figures.split} split; give the penalty a smaller weight, or use a lower learning rate or fewer units"
    )


def _beaten(signals: Signals) -> str | None:
    for name in signals.history[-1].train.critics if signals.history else ():
        critic = [record.train.critics[name] for record in signals.history if name in record.train.critics]
        term = [record.train.terms[name] for record in signals.history]
        now = critic[-PATIENCE:]
        if len(now) == PATIENCE and min(critic) >= 0 and max(now) < BEATEN and fmean(term[-PATIENCE:]) > term[0]:
            return (
                f"the critic of {name} wins: its loss is {critic[-1]:.2g} and the model's term has risen from "
                f"{term[0]:.3g} to {term[-1]:.3g}, so it teaches the model little; give the critic a lower learning "
                "rate or fewer layers, or the model a higher learning rate"
            )
    return None


def _overfitted(signals: Signals) -> str | None:
    train, held_out = signals.losses("train"), signals.losses("validation")
    if len(held_out) <= PATIENCE or signals.keeps_best:
        return None
    best = min(range(len(held_out)), key=held_out.__getitem__)
    now, trained, last = fmean(held_out[-PATIENCE:]), fmean(train[-PATIENCE:]), held_out[-PATIENCE:]
    noise = fmean(abs(one - other) for one, other in itertools.pairwise(last))
    rises = now - held_out[best] > max(noise, RISE * (max(train) - trained))
    if best >= len(held_out) - PATIENCE or not rises or trained >= train[best]:
        return None
    epoch = signals.history[best].epoch
    return (
        f"over-fitting: the validation loss was least in epoch {epoch:,} ({held_out[best]:.4g}) and is {now:.4g} in "
        f"the last {PATIENCE}, while the training loss fell from {train[best]:.4g} to {trained:.4g}; keep the best "
        f"weights (training.keep=best), train for about {epoch:,} epochs, or use more data or a smaller model"
    )


def _falling(signals: Signals) -> str | None:
    if not signals.falling:
        return None
    return f"the loss still falls after epoch {signals.history[-1].epoch:,}: a longer training may give a better model"


def _weighted(signals: Signals) -> str | None:
    if not signals.history or signals.history[-1].train.elbo is None:
        return None
    last = signals.history[-1]
    parts = (last.train.reconstruction, last.train.kl)
    weights = {
        name: weight
        for name, weight in last.weights.items()
        if weight != 1 and any(_same(last.train.terms[name], part) for part in parts)
    }
    if not weights:
        return None
    factors = " and ".join(f"{weight:.3g} × {name}" for name, weight in weights.items())
    return (
        f"the objective ends with {factors}, so it is not the ELBO that was optimized: compare its ELBO with those of "
        "other models with care, or let the weight end at 1"
    )


def _same(term: float, part: float | None) -> bool:
    return part is not None and math.isclose(term, part, rel_tol=SAME)


def _misfit(signals: Signals) -> str | None:
    figures = signals.evaluation
    if figures is None or figures.elbo is None or figures.dispersion is None or _collapsed(signals):
        return None
    if 1 / MISFIT <= figures.dispersion <= MISFIT:
        return None
    times, side, counts = figures.dispersion, "below", "too little"
    if times < 1:
        times, side, counts = 1 / times, "above", "too much"
    return (
        f"the likelihood does not fit the data: its variance is {times:,.3g} times {side} that of the residuals, so "
        f"the KL counts for {counts}; use a likelihood with a learned scale, or a scale near the residuals'"
    )


RULES = (
    Rule(
        "unscaled data",
        "values beyond ±100 that nothing standardized; bytes of which the largest is below 32",
        "`data.standardize=true`, or the range that the note names",
        _unscaled,
    ),
    Rule(
        "collapsed latents",
        f"no latent dimension is active, and at least {NOTHING:.0%} of the variance is unexplained; while a run goes "
        f"on, none is active for {LASTING[0]} epochs and {LASTING[1]} steps with a KL below {SILENT:g} nats, and the "
        "loss no longer falls",
        "in this order: the scale of the data; a longer training, while the loss falls; a smaller weight of the KL, or "
        "one that rises from 0",
        _collapsed,
        grave=True,
        during=True,
    ),
    Rule(
        "dead units",
        f"at least {DEAD:.0%} of the units of a code without a KL are active for no datum of the split",
        "a smaller weight of the penalty, a lower learning rate, fewer units",
        _dead,
    ),
    Rule(
        "critic wins",
        f"the loss of a critic that is never negative is below {BEATEN:g} for {PATIENCE} epochs, and the term that the "
        "model minimizes has risen since the first epoch",
        "a lower learning rate or fewer layers for the critic, a higher learning rate for the model",
        _beaten,
        during=True,
        grave=True,
    ),
    Rule(
        "over-fitting",
        f"the validation loss of the last {PATIENCE} epochs is in the mean above its least, which came before them, by "
        f"more than {RISE:.0%} of the fall of the training loss and more than it changes from epoch to epoch, and the "
        "training loss has gone on falling; silent where the best weights are kept",
        "`training.keep=best`, fewer epochs, more data, a smaller model",
        _overfitted,
        during=True,
    ),
    Rule(
        "still falling",
        f"the mean loss (the validation loss, where there is one) falls by more than {FALLING:.0%} of its whole fall "
        "from the first to the second half of the last quarter of the epochs",
        "a longer training: `genkit resume RUN --epochs N`",
        _falling,
    ),
    Rule(
        "weighted ELBO",
        "the reconstruction or the KL has a weight other than 1 at the end",
        "a weight that ends at 1, where ELBOs are compared",
        _weighted,
    ),
    Rule(
        "likelihood misfit",
        f"the likelihood's variance is more than {MISFIT:g} times below or above that of the residuals, and the model "
        "has an ELBO and no collapsed latents",
        "a likelihood with a learned scale, or a scale near the residuals'",
        _misfit,
    ),
)
"""All rules, in the order in which they speak: a note may count on those before it."""
