"""A subject: a component under test with its options, built for several shapes of data."""

from __future__ import annotations

import contextlib
import random
import unittest
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from genkit.errors import ComponentError, ConfigError, in_a_line, place
from genkit.interfaces import (
    Component,
    DataSource,
    Decoder,
    Encoder,
    Likelihood,
    Loss,
    Metric,
    Prior,
    Sampler,
    Shape,
    Transform,
)
from genkit.registry.kinds import name_of
from genkit.settings.yaml import dotted
from genkit.testing.cases import Case, LikelihoodCase, LossCase, NetworkCase, PriorCase, SamplerCase
from genkit.training.seeds import seed_torch

SHAPES: tuple[Shape, ...] = ((1, 8, 8), (3, 9, 7), (12,), (10, 4))
LARGER: tuple[Shape, ...] = ((1, 28, 28), (3, 64, 64), (64, 8), (1, 8, 8, 8), (3, 224, 224))
"""Shapes for a component that takes none of SHAPES: tried in turn, up to the first that it takes."""
FEATURES: tuple[Shape, ...] = ((6,), (2, 3))
LATENTS: tuple[Shape, ...] = ((3,), (1,), (2, 3), (4,))

USUAL: dict[type[Component], tuple[Shape, ...]] = {Sampler: FEATURES, Prior: LATENTS}
"""The shapes for kinds whose parts are not built for data."""

CASES: dict[type[Component], type[Case]] = {
    Encoder: NetworkCase,
    Decoder: NetworkCase,
    Sampler: SamplerCase,
    Prior: PriorCase,
    Likelihood: LikelihoodCase,
    Loss: LossCase,
    Transform: NetworkCase,
}


class ContractError(AssertionError):
    """A component breaks a promise of its interface; the message says which, where it shows, and how to mend it."""


class NotApplicable(unittest.SkipTest):
    """A check does not apply to this component; the message is the reason, and pytest reports a skipped test."""


class Blocked(NotApplicable):
    """A check is not run, because one that it builds on fails."""


def require(kept: bool | Tensor, broken: str) -> None:
    """Raise ContractError with the message `broken` unless the promise is kept."""
    __tracebackhide__ = True
    if not bool(kept):
        raise ContractError(broken)


def close(one: Tensor, other: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether two tensors have the same shape and, up to rounding, the same values."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)


@contextlib.contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Draw the same random numbers in every such block, and restore the global generators after it."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            seed_torch(seed)
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def stir(part: nn.Module) -> None:
    """Move the parameters a little: weights that start at 0 let no gradient through."""
    with seeded(), torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)


def generators() -> list[object]:
    """The states of the global random generators."""
    _, keys, position, *_ = np.random.get_state(legacy=True)
    return [torch.get_rng_state().tolist(), np.asarray(keys).tolist(), position, random.getstate()]


@dataclass(eq=False)
class Subject:
    """A component under test."""

    component: type[Any]
    config: Component.Config
    shapes: tuple[Shape, ...] | None = None
    """The shapes of one datum, or of features for a sampler; None: usual ones, any of which it may refuse."""
    expected: Mapping[str, str] = field(default_factory=dict)
    """Checks that are expected to fail, with the reasons; checks that build on them run all the same."""
    outcomes: dict[str, Exception | None] = field(default_factory=dict)
    """The outcomes of the checks so far, by name; None: the promise is kept."""

    @property
    def name(self) -> str:
        """The subject's name in messages: `encoder 'mlp'`."""
        return f"{self.component.kind} '{self.config.name}'"

    def cases(self, seed: int = 0) -> list[Any]:
        """The component built for each shape that it takes; the same seed gives the same weights."""
        if issubclass(self.component, DataSource | Metric):
            raise TypeError(f"a part of the kind {self.component.kind} has no cases")
        usual = next((shapes for kind, shapes in USUAL.items() if issubclass(self.component, kind)), SHAPES)
        tried = [self._case(shape, latent, seed) for shape, latent in zip(self.shapes or usual, cycle(LATENTS))]
        cases = [case for case in tried if case is not None]
        larger = iter(LARGER if self.shapes is None and not cases else ())
        while not cases and (shape := next(larger, None)) is not None:
            cases = [case for case in [self._case(shape, LATENTS[0], seed)] if case is not None]
        require(
            bool(cases), f"{self.name} takes data of none of the shapes tried; say which it takes (shapes, --shape)"
        )
        return cases

    def _case(self, shape: Shape, latent: Shape, seed: int) -> Case | None:
        arguments = (latent, shape) if issubclass(self.component, Decoder) else (shape,)
        kind = next(kind for kind in CASES if issubclass(self.component, kind))
        shown = " and ".join(map(str, arguments))
        with seeded(seed):
            try:
                return CASES[kind](self.component(self.config, *arguments), arguments)
            except ComponentError as error:
                require(self.shapes is None, f"it refuses the shape {shown}: {error}")
                return None
            except Exception as error:
                raise ContractError(
                    f"it cannot be built for {shown}: {in_a_line(error)}{place(error)}; where that is a shape that it "
                    "does not take, raise ComponentError, and say in it which it takes"
                ) from error


def settings_of(component: type[Component], values: Mapping[str, Any] | None = None) -> Component.Config:
    """A component's options: plain values for some, the defaults for the others.

    Raises:
        ComponentError: an option without a default is missing; the message says how to give it.
        ConfigError: values are wrong; one line per value.
    """
    part = f"{component.kind}/{name_of(component)}"
    try:
        return component.Config.model_validate({"name": name_of(component), **(values or {})})
    except ValidationError as error:
        problems = error.errors(include_url=False)
    wrong = [detail for detail in problems if detail["type"] != "missing"]
    if wrong:
        lines = [f"{part}: {dotted(tuple(detail['loc']))}: {detail['msg']}" for detail in wrong]
        raise ConfigError(*lines)
    missing = [dotted(tuple(detail["loc"])) for detail in problems]
    assignments = [f"{name}=..." for name in missing]
    call = f"contract({component.__name__}, {component.__name__}.Config({', '.join(assignments)}))"
    raise ComponentError(
        f"{part} has options without a default: {', '.join(missing)}; give them: genkit check-plugin {part} "
        f"{' '.join(assignments)}, or {call}"
    )
