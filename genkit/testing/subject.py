"""A subject: a component under test with its options, built for several shapes of data."""

from __future__ import annotations

import contextlib
import random
import unittest
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genkit.errors import ComponentError, in_a_line, place
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
    Schema,
    Shape,
    Transform,
)
from genkit.model.model import Model
from genkit.testing.cases import Case, LikelihoodCase, LossCase, NetworkCase, PriorCase, SamplerCase
from genkit.testing.partners import TRAINING_DATA, Partners, Surroundings
from genkit.testing.passes import D
from genkit.testing.settings import config_of
from genkit.testing.supply import Supply, first_supply, supplied
from genkit.training.seeds import seed_torch

SHAPES: tuple[Shape, ...] = ((1, 8, 8), (3, 9, 7), (12,), (10, 4))
LARGER: tuple[Shape, ...] = ((1, 28, 28), (3, 64, 64), (64, 8), (1, 8, 8, 8), (3, 224, 224))
"""Shapes for a component that takes none of SHAPES: tried in turn, up to the first that it takes."""
FEATURES: tuple[Shape, ...] = ((6,), (2, 3))
LATENTS: tuple[Shape, ...] = ((3,), (1,), (2, 3), (4,))

DATA: Shape = (1, 8, 8)
"""The shape of a datum in models around parts that are not built for data."""

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
    partners: Partners = field(default_factory=Partners)
    """The parts with which it is checked, and the side data and latents that its author states."""
    expected: Mapping[str, str] = field(default_factory=dict)
    """Checks that are expected to fail, with the reasons; checks that build on them run all the same."""
    outcomes: dict[str, Exception | None] = field(default_factory=dict)
    """The outcomes of the checks so far, by name; None: the promise is kept."""
    kept: dict[Any, Any] = field(default_factory=dict)
    """What is worked out once."""

    @property
    def name(self) -> str:
        """The subject's name in messages: `encoder 'mlp'`."""
        return f"{self.component.kind} '{self.config.name}'"

    def cases(self, seed: int = 0) -> list[Any]:
        """The component built for each shape that it takes; the same seed gives the same weights."""
        if issubclass(self.component, DataSource | Metric):
            raise TypeError(f"a part of the kind {self.component.kind} has no cases")
        latents = self.latents()
        usual = FEATURES if self.kind is Sampler else latents if self.kind is Prior else SHAPES
        tried = [self._case(shape, latent, seed) for shape, latent in self._pairs(self.shapes or usual, latents)]
        cases = [case for case in tried if case is not None]
        larger = iter(LARGER if self.shapes is None and not cases else ())
        while not cases and (shape := next(larger, None)) is not None:
            cases = [case for case in [self._case(shape, latents[0], seed)] if case is not None]
        require(
            bool(cases), f"{self.name} takes data of none of the shapes tried; say which it takes (shapes, --shape)"
        )
        refused = {*(self.partners.latent_shapes or ())} - {case.arguments[0] for case in cases}
        require(
            not refused or self.kind not in (Decoder, Prior),
            f"it refuses latents of the shapes {', '.join(map(str, sorted(refused)))}, which are asked for",
        )
        return cases

    @property
    def kind(self) -> type[Component]:
        """The interface of the component."""
        return next(kind for kind in CASES if issubclass(self.component, kind))

    def latents(self) -> tuple[Shape, ...]:
        """The shapes of latents: those that are asked for, those of the sampler that is a partner, or usual ones."""
        if self.partners.latent_shapes is not None:
            return self.partners.latent_shapes
        if "sampler" in self.partners.configs and self.kind in (Decoder, Prior, Loss):
            shape = self.shapes[0] if self.shapes and self.kind is not Prior else DATA
            return (self.partners.model(Surroundings(shape, (D,), FEATURES[0])).sampler.latent_shape,)
        return ((D,),) if self.kind is Loss else LATENTS

    def _pairs(self, shapes: tuple[Shape, ...], latents: tuple[Shape, ...]) -> list[tuple[Shape, Shape]]:
        """Shapes with shapes of latents, each at least once."""
        if self.kind is Prior:
            return [(shape, shape) for shape in shapes]
        asked = self.partners.latent_shapes is not None and self.kind in (Decoder, Loss)
        count = max(len(shapes), len(latents) if asked else 0)
        return list(islice(zip(cycle(shapes), cycle(latents)), count))

    def supply(self, *arguments: Shape) -> Supply:
        """The side data that the component reads, where it is built for these shapes."""
        if not self.component.reads:
            return Supply()
        key = ("supply", arguments)
        if key not in self.kept:
            self.kept[key] = first_supply(
                self.component,
                arguments[0],
                self.partners.sides,
                lambda each: each(self.config, *arguments, **self.facts(*arguments)),
            )
        supply: Supply = self.kept[key]
        return supply

    def built(self, *arguments: Any, config: Component.Config | None = None) -> Any:
        """The component, built for shapes, by default with its own options; side data that it reads are supplied."""
        shapes = tuple(each for each in arguments if each is not None) or FEATURES[:1]
        part = supplied(self.component, self.supply(*shapes))
        return part(config or self.config, *arguments, **self.facts(*shapes))

    def facts(self, *arguments: Shape) -> dict[str, Any]:
        """The facts about the data that the component asks for, where it is built for these shapes."""
        shape = DATA if self.kind in (Sampler, Prior) else arguments[-1]
        return Schema(shape, training_data=TRAINING_DATA).answers(self.component)

    def surroundings(self, arguments: tuple[Shape, ...], latent: Shape) -> Surroundings:
        """What a model around the component is made for."""
        latent = arguments[0] if self.kind in (Decoder, Prior) else latent
        features = arguments[0] if self.kind is Sampler else FEATURES[0]
        shape = DATA if self.kind in (Sampler, Prior) else arguments[-1]
        return Surroundings(shape, latent, features, self.supply(*arguments).sides)

    def around(self, part: Any, arguments: tuple[Shape, ...], latent: Shape) -> Case:
        """The case of a part, with a model of its partners around it."""
        supply = self.supply(*arguments)

        def model() -> Model:
            if self.kind is Loss:
                return self.partners.model(self.surroundings(arguments, latent))
            whole = self.whole(arguments, latent)
            setattr(whole, self.kind.kind, part)
            return whole

        return CASES[self.kind](part, arguments, model, supply, latent)

    def whole(self, arguments: tuple[Shape, ...], latent: Shape, seed: int = 0) -> Model:
        """The model of the component and its partners, for the shapes of a case; raises ComponentError."""
        own = config_of(self.component, self.config)
        return self.partners.model(self.surroundings(arguments, latent), own, seed)

    def again(self, case: Any, config: Component.Config, *arguments: Shape) -> Any:
        """A case like another, of a part with these options, and by default for the same shapes."""
        arguments = arguments or case.arguments
        with seeded():
            return self.around(self.built(*arguments, config=config), arguments, case.latent)

    def _case(self, shape: Shape, latent: Shape, seed: int) -> Case | None:
        arguments = (latent, shape) if self.kind is Decoder else (shape,)
        shown = " and ".join(map(str, arguments))
        with seeded(seed):
            try:
                part = self.built(*arguments)
            except ComponentError as error:
                require(self.shapes is None, f"it refuses the shape {shown}: {error}")
                return None
            except Exception as error:
                raise ContractError(
                    f"it cannot be built for {shown}: {in_a_line(error)}{place(error)}; where that is a shape that it "
                    "does not take, raise ComponentError, and say in it which it takes"
                ) from error
            try:
                return self.around(part, arguments, latent)
            except ComponentError as error:
                raise ContractError(f"with its partners it makes no model of data {shape}: {error}") from error
