"""The verdict on a model: whether it is alive, in a sentence, by the rules of the diagnosis and the figures."""

from __future__ import annotations

from typing import NamedTuple

from genkit.evaluation.figures import Evaluation
from genkit.record.diagnosis import RULES, Note, diagnose
from genkit.record.signals import Signals


class Verdict(NamedTuple):
    """What is said of a model first."""

    alive: bool | None
    """Whether the model works; None: there is nothing to judge it by."""
    text: str
    """The verdict in words, such as `alive: 2 of 2 latent dimensions are active`."""
    notes: list[Note]
    """What the rules say besides: faults that do not kill the model, and what may help."""


def verdict(signals: Signals) -> Verdict:
    """The verdict on a model.

    A model with an encoder is alive unless its latents have collapsed. One without is alive unless a critic wins
    against it: of its samples nothing more is recorded.

    Args:
        signals: what is recorded of the model.
    """
    notes, figures = diagnose(signals), signals.evaluation
    active = None if figures is None else figures.active_units
    grave = {rule.name for rule in RULES if rule.grave}
    fault = None if active else next((note for note in notes if note.rule in grave), None)
    if fault is not None:
        return Verdict(False, f"not alive: {fault.text}", [note for note in notes if note is not fault])
    if figures is None:
        return Verdict(None, "no verdict: no figures of a test split are recorded", notes)
    if active is None:
        return Verdict(*_of_generator(signals), notes)
    return Verdict(True, f"alive: {_of_latents(figures, active)}", notes)


def _of_latents(figures: Evaluation, active: int) -> str:
    """What the latents carry, in words."""
    verb = "is" if active == 1 else "are"
    text = f"{active:,} of {figures.latents:,} latent dimensions {verb} active"
    if not active:
        text = f"the {figures.latents:,} latent dimensions vary little"
    if figures.unexplained is None:
        return text
    if figures.unexplained >= 1:
        return f"{text}, but the reconstructions are no nearer to the data than their mean"
    return f"{text}, and the reconstructions explain {1 - figures.unexplained:.0%} of the variance"


def _of_generator(signals: Signals) -> tuple[bool | None, str]:
    """The verdict on a model without an encoder."""
    critics = signals.history[-1].train.critics if signals.history else {}
    if not critics:
        return None, "no verdict: neither latents nor a critic say anything of the model"
    losses = " and ".join(f"that of {name} has a loss of {loss:.3g}" for name, loss in critics.items())
    verb = "critic does not win" if len(critics) == 1 else "critics do not win"
    return True, f"alive, as far as losses say: the {verb} ({losses}); genkit compare judges the samples"
