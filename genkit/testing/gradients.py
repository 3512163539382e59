"""Checks of all parts that are trained: gradients arrive, and they are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from genkit.errors import place
from genkit.interfaces import Decoder, Encoder, Likelihood, Loss, Prior, Sampler
from genkit.testing.cases import Case, Tensors
from genkit.testing.check import promise
from genkit.testing.pairs import data_of, is_paired, terms_of
from genkit.testing.passes import sides_of
from genkit.testing.subject import ContractError, Subject, require, seeded, stir

STEPS = (1e-4, 1e-5, 1e-6, 1e-7)
"""The steps of finite differences; if a kink (of a ReLU) lies within one, a smaller one is right."""
TOLERANCE = 1e-4
LEAST = 0.6
"""The least share of its input that a network must read, and of its output that a decoder must move."""
TRAINED = (Encoder, Decoder, Sampler, Prior, Likelihood)
REACHED = ("gradients reach the input", "gradients reach the model", "reparameterization")


@promise(*TRAINED, after=("shapes", "together"))
def gradients_reach_every_parameter(subject: Subject) -> None:
    """Training moves every parameter that requires a gradient.

    A parameter that only some shapes of data need (a recurrent weight needs more than one step) has to move for these.
    With partners, the terms of their model may move it.
    """
    idle: dict[str, bool] = {}
    for case in subject.cases():
        stir(case.part)
        missed = {name for name, parameter in case.part.named_parameters() if parameter.requires_grad}
        for training in (True, False):  # a bias before a batch normalization is idle in training mode only
            case.part.train(training).zero_grad()
            with seeded(int(training)):
                total = _weighted(case.read(case.part, *case.inputs(16, seed=int(training))))
                if total.requires_grad:
                    total.backward()
            missed -= _moved(case)
        if missed and is_paired(subject):
            missed -= _moved_by_terms(case)
        idle |= {name: idle.get(name, True) and name in missed for name, _ in case.part.named_parameters()}
    names = ", ".join(sorted(name for name, always in idle.items() if always))
    require(
        not names,
        f"no gradient reaches {names}: it has no part in the output, or is cut off (detach, no_grad, .data, numbers "
        "made of tensors); what a loss term alone teaches is checked with that term as a partner",
    )


def _moved(case: Case) -> set[str]:
    """The names of the parameters that have a gradient."""
    return {name for name, p in case.part.named_parameters() if p.grad is not None and bool(p.grad.any())}


def _moved_by_terms(case: Case) -> set[str]:
    """The names of the parameters that the terms of the model of the partners move."""
    model = case.model.train()
    model.zero_grad()
    x = data_of(model)
    with seeded():
        terms_of(model, x, sides_of(model, x)).sum().backward()
    return _moved(case)


@promise(Encoder, Decoder, Likelihood, after=("shapes", "input is kept"))
def gradients_reach_the_input(subject: Subject) -> None:
    """Gradients go back to the input, and so to the parts before."""
    for case in subject.cases():
        stir(case.part)
        leaf, *others = case.inputs(16)
        leaf.requires_grad_()
        with seeded():
            total = _weighted(case.read(case.part.train(), leaf, *others))
        gradient = torch.autograd.grad(total, leaf, allow_unused=True)[0] if total.requires_grad else None
        require(
            gradient is not None and bool(gradient.any()),
            "no gradient goes back through it to its input, so that what comes before it cannot learn: detach, no_grad "
            "or argmax is in the way",
        )
        if gradient is not None and len(others) == len(case.supply.sides):
            _reads_and_writes(case, gradient)


def _reads_and_writes(case: Case, slopes: Tensor) -> None:
    """Most of a network's input moves its output, and most of a decoder's output moves with its input."""
    read = slopes.flatten(1).ne(0).any(0)
    require(
        read.float().mean() >= LEAST,
        f"only {int(read.sum())} of the {len(read)} values of a datum of shape {case.arguments[0]} have a part in its "
        "output: mind slices, masks and strides",
    )
    if isinstance(case.part, Decoder):
        with torch.no_grad():
            (output,) = case.read(case.part.eval(), *case.inputs(16))
        moving = output.flatten(1).std(0) > 0
        require(
            moving.float().mean() >= LEAST,
            f"only {int(moving.sum())} of the {len(moving)} values that it gives change with z; the rest is constant",
        )


@promise(*TRAINED, Loss, after=("shapes", "eval determinism", "gradients reach every parameter", *REACHED))
def gradients(subject: Subject) -> None:
    """In float64, the derivative along a random direction is that of finite differences (with the same noise)."""
    for case in subject.cases():
        inputs = tuple(value.double() if value.is_floating_point() else value for value in case.inputs(3))
        along = _along(case, inputs)
        leaf = torch.zeros((), dtype=torch.float64, requires_grad=True)
        try:
            value = along(leaf)
        except RuntimeError as error:
            raise ContractError(
                f"in float64 it fails: {' '.join(str(error).split())[:200]}{place(error)}; give what it makes the "
                "type of its input (dtype=x.dtype), and keep tensors as parameters or buffers"
            ) from error
        require(
            value.dtype == torch.float64,
            f"for float64 it gives {value.dtype}: a conversion to float32 (float(), dtype=torch.float32) is in its way",
        )
        gradient = torch.autograd.grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
        slope = 0.0 if gradient is None else float(gradient)
        with torch.no_grad():
            differences = [float(along(leaf + step) - along(leaf - step)) / (2 * step) for step in STEPS]
        require(
            any(abs(slope - each) <= TOLERANCE * (abs(each) + 1e-2) for each in differences),
            f"its derivative is {slope:.6g}, and by finite differences {differences[1]:.6g}: part of the way is cut "
            "off (detach, .data, numbers made of tensors), or a backward of its own is wrong (one that is meant to "
            "differ, as of a straight-through estimator, is marked as an expected failure)",
        )


class _Reading(nn.Module):
    """The outputs of a part as one number, as a module."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.part = case.part
        self.case = case

    def forward(self, *inputs: Tensor) -> Tensor:
        with seeded():
            return _weighted(self.case.read(self.part, *inputs))


def _along(case: Case, inputs: Tensors) -> Callable[[Tensor], Tensor]:
    """The outputs as one number, by a step along a random direction of all parameters and inputs but the data."""
    case.move(torch.float64)
    case.part.eval()
    reading = _Reading(case)
    start = {name: parameter.detach() for name, parameter in reading.named_parameters()}
    with seeded(1):
        ways = {name: torch.randn_like(parameter) for name, parameter in start.items()}
        moves = [torch.randn_like(value) if value.is_floating_point() else value * 0 for value in case.apart(inputs)[0]]
    if len(moves) > 1:
        moves[-1].zero_()  # the data, which may be whole numbers
    side = inputs[len(moves) :]

    def along(step: Tensor) -> Tensor:
        moved = {name: parameter + step * ways[name] for name, parameter in start.items()}
        main = (x + step * y if x.is_floating_point() else x for x, y in zip(inputs, moves, strict=False))
        result: Any = functional_call(reading, moved, (*main, *side))
        return result  # type: ignore[no-any-return]

    return along


def _weighted(values: Tensors) -> Tensor:
    """The sum of all values, with fixed random weights."""
    generator = torch.Generator().manual_seed(2)
    weights = [torch.randn(value.shape, generator=generator).to(value) for value in values]
    return torch.stack([(value * weight).sum() for value, weight in zip(values, weights, strict=True)]).sum()
