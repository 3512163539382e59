"""Checks of exports: a part is exported for any number of data, as a trained model is for other programs.

B data.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genkit.errors import LIBRARIES, GenkitError, in_a_line, place
from genkit.interfaces import Decoder, Encoder, Likelihood, Sampler
from genkit.sharing.export import export, exported, quiet
from genkit.testing.cases import Case, LikelihoodCase
from genkit.testing.check import promise
from genkit.testing.pairs import is_paired, models
from genkit.testing.subject import ContractError, NotApplicable, Subject, close, require, seeded

TRACED, OTHERS = 2, (1, 7)
"""The number of data with which a part is traced, and those at which it is compared."""
REMEDY = "take sizes from x.shape[0], and join dimensions by x.flatten(1) or x.unflatten(1, ...)"


class _Reading(nn.Module):
    """What a trained model makes of a part, for files: features, the posterior mean, params of p(x|z), or its mean."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.part = case.part.eval()
        self.case = (case,)  # not a module of this one

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        case = self.case[0]
        if isinstance(case, LikelihoodCase):
            mean: Tensor = self.part.mean(first, **dict(zip(case.supply.sides, others, strict=True)))
            return mean
        return case.settled(self.part, first, *others)[0]


class _Watch(TorchFunctionMode):
    """Notes where a plugin's code calls a function that an export has trouble with: len() of a tensor, torch.cdist."""

    def __init__(self, watched: Callable[..., Any]) -> None:
        super().__init__()
        self.watched = watched
        self.places: list[str] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is self.watched:
            self.places += _callers()[:1]
        return function(*args, **(kwargs or {}))


def _callers() -> list[str]:
    """The lines of a plugin's code that are at work, the innermost first."""
    frames = traceback.walk_stack(sys._getframe())
    plugins = ((f, line) for f, line in frames if str(f.f_globals.get("__name__")).partition(".")[0] not in LIBRARIES)
    return [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in plugins]


def _inputs(case: Case, count: int) -> tuple[Tensor, ...]:
    main = case.main(count)
    return (*(main[:1] if isinstance(case, LikelihoodCase) else main), *case.supply.drawn(count).values())


@promise(Encoder, Decoder, Sampler, Likelihood, after=("shapes", "eval determinism", "batch independence", "compiled"))
@torch.no_grad()
def exported_for_any_batch(subject: Subject) -> None:
    """It is exported once for any number of data, and then gives the same as here (`genkit export`)."""
    case = subject.cases()[0]
    reading = _Reading(case)
    try:
        with _silent():
            program = exported(reading, _inputs(case, TRACED)).module()
    except Exception as error:
        raise ContractError(f"it cannot be exported for any number of data: {_reason(case, error)}") from error
    for count in OTHERS:
        inputs = _inputs(case, count)
        try:
            same = close(program(*inputs), reading(*inputs))
        except Exception as error:
            raise ContractError(f"exported with {TRACED} data, it fails for {count}: {_reason(case, error)}") from error
        require(same, f"exported with {TRACED} data, it gives other values for {count}: {_decision(case)}")


@promise(Encoder, Decoder, Sampler, Likelihood, after=("together", "exported for any batch"), applies=is_paired)
def together_exported(subject: Subject) -> None:
    """With its partners it makes a model that is exported for any number of data, and gives the same as here."""
    model = models(subject)[0]
    if model.encoder is None:
        raise NotApplicable("the model has no encoder")
    with tempfile.TemporaryDirectory() as folder, _silent():
        try:
            export(model.eval(), Path(folder) / "model.pt2", format="torch-export")
        except GenkitError as error:
            raise ContractError(f"with its partners {error}; {REMEDY}") from error


def _reason(case: Case, error: Exception) -> str:
    """Why a part is not exported, with the place and the remedy."""
    if lengths := _calls(case, Tensor.__len__):
        return f"len() of a tensor is a fixed number in an exported file ({', '.join(lengths)}): {REMEDY}"
    text = str(error)
    if "specialized it to be a constant" in text:
        return f"the number of data is a fixed number in it, by int(), a list or a reshape to fixed sizes: {REMEDY}"
    if "generated guard" in text:
        return _decision(case)
    if "data-dependent" in text:
        return f"it decides by values of tensors (if, .item(), float()){place(error)}: use torch.where, or leave it out"
    return f"{in_a_line(error)}{place(error)}"


def _decision(case: Case) -> str:
    if distances := _calls(case, torch.cdist):
        return (
            f"torch.cdist computes in another way for many data ({', '.join(distances)}), and an exported file keeps "
            'one way alone: give it compute_mode="donot_use_mm_for_euclid_dist"'
        )
    return (
        "it decides by the number of data, and an exported file keeps one way alone: leave `if` on x.shape[0] out, and "
        "do the same for any number"
    )


def _calls(case: Case, function: Callable[..., Any]) -> list[str]:
    """The lines of a plugin's code that call a function for a few data."""
    with torch.no_grad(), seeded(), _Watch(function) as watch:
        _Reading(case)(*_inputs(case, TRACED))
    return list(dict.fromkeys(watch.places))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Hide what the exporter prints, warns of and logs inside the block."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with quiet():
            yield
    finally:
        logging.disable(level)
