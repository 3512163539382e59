"""Looks at training for numbers that are not finite: at each step, at the parameters, at an epoch's figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from genkit.model.model import Model
from genkit.parallel import group
from genkit.record.scores import Scores
from genkit.training.seeds import random_state, set_random_state

Gradients = Mapping[str, Sequence[Tensor | None]]
"""Gradients by owner, in the order of the owner's parameters."""


class NotFiniteError(Exception):
    """Something in training is not finite.

    Args:
        figures: the figures or gradients that are not finite, by their names.
        norm: the norm of the gradients in the step before; None: nobody looked at it.
    """

    def __init__(self, figures: Mapping[str, float], norm: float | None = None) -> None:
        super().__init__(figures, norm)
        self.figures, self.norm = figures, norm


class Inspector:
    """A look at each step before its update: it raises NotFiniteError where a figure or a gradient is not finite.

    Args:
        model: the model that is trained.
        fitted: its parameters by owner, in the order of the gradients.
        gradients: whether gradients have to be finite; those of float16 need not be.
    """

    def __init__(self, model: Model, fitted: Mapping[str, Sequence[Tensor]], gradients: bool = True) -> None:
        names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        self.names = {owner: [names[each] for each in parameters] for owner, parameters in fitted.items()}
        self.gradients = gradients
        self.norm: float | None = None
        """The norm of all gradients in the step before."""

    def __call__(self, gradients: Gradients, figures: Mapping[str, Tensor]) -> None:
        """Look at the gradients and, in a process that is alone, at the figures."""
        bad = not_finite({name: float(value) for name, value in figures.items()}) if group.count() == 1 else {}
        norm = _norm([each for own in gradients.values() for each in own]) if self.gradients else None
        if norm is not None and not math.isfinite(norm):
            bad |= self._first(gradients)
        if bad:
            raise NotFiniteError(bad, self.norm)
        self.norm = norm

    def _first(self, gradients: Gradients) -> dict[str, float]:
        """The norm of the first gradient of each owner that is not finite, or of all where each alone is."""
        bad: dict[str, float] = {}
        for owner, own in gradients.items():
            norms = zip(self.names[owner], (_norm([each]) for each in own), strict=True)
            bad |= dict(list(not_finite({f"the gradient of {name}": norm for name, norm in norms}).items())[:1])
        return bad or {"the norm of all gradients": math.inf}


def _norm(gradients: Sequence[Tensor | None]) -> float:
    return float(nn.utils.get_total_norm([each for each in gradients if each is not None]))


def not_finite(figures: Mapping[str, float]) -> dict[str, float]:
    """Those of the figures that are not finite."""
    return {name: value for name, value in figures.items() if not math.isfinite(value)}


def figures_of(scores: Scores) -> dict[str, float]:
    """The objective, the terms and the critics' losses by their names."""
    return {"loss": scores.loss, **scores.terms, **scores.critics}


@torch.no_grad()
def bad_parameters(model: Model) -> dict[str, float]:
    """The first parameter or buffer with a value that is not finite, by its name; empty: all are finite."""
    floats = {name: each for name, each in model.state_dict().items() if each.is_floating_point()}
    if not floats or bool(torch.stack([each.isfinite().all() for each in floats.values()]).all()):
        return {}
    return {next(name for name, each in floats.items() if not bool(each.isfinite().all())): math.nan}


class Fleeting:
    """What a step changes before its update: the random state, and buffers such as running means.

    Args:
        model: the model, before the step.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.random = random_state(model.device)
        self.buffers = [buffer.clone() for buffer in model.buffers()]

    def restore(self, random: bool) -> None:
        """Put the buffers back, and the random state where it is asked for."""
        for buffer, value in zip(self.model.buffers(), self.buffers, strict=True):
            buffer.copy_(value)
        if random:
            set_random_state(self.random, self.model.device)
