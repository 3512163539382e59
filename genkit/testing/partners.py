"""Partners: the parts with which a part is checked, and the models that they make together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from genkit.config import RunConfig
from genkit.errors import ComponentError
from genkit.interfaces import ENCODER_NEEDS, Component, DataSource, FittedPrior, Schema, Shape, Side
from genkit.model.building import build
from genkit.model.model import Model
from genkit.registry.kinds import why_no_component
from genkit.registry.registry import installed
from genkit.settings.base import nearest
from genkit.testing.passes import (
    NAME,
    TinyDecoder,
    TinyEncoder,
    TinyLikelihood,
    TinyLoss,
    TinyRatio,
    TinySampler,
    tiny_model,
)
from genkit.testing.settings import config_of, settings_of
from genkit.testing.supply import likely
from genkit.training.seeds import seed_torch

CONDITION = "condition"
"""The key of the side data that encoder and decoder are conditioned on, among those of the partners' kinds."""
KEYS = ("encoder", "sampler", "prior", "decoder", "likelihood", "loss")
TRAINING_DATA = 100
Partner = Component.Config | type[Component] | Mapping[str, Any] | str
"""A part by its options, its class, `{"name": ...}`, or its name."""


class Surroundings(NamedTuple):
    """What a model around a part is made for."""

    shape: Shape
    """The shape of one datum."""
    latent: Shape
    """The shape of its latents, where no partner is a sampler."""
    features: Shape
    """The shape of the features between small parts."""
    sides: Mapping[str, Side] = MappingProxyType({})
    """What side data hold."""


@dataclass(frozen=True)
class Partners:
    """The parts with which a part is checked, each by its options; small ones stand in for the others."""

    configs: Mapping[str, tuple[Component.Config, ...]] = field(default_factory=dict)
    """The options of the partners of each kind; a model has several terms, and one part of any other kind."""
    condition: tuple[str, ...] = ()
    latent_shapes: tuple[Shape, ...] | None = None
    """The shapes of latents to try; None: the usual ones, or those of the partner."""
    sides: Mapping[str, Side] = field(default_factory=dict)
    """What the side data hold, as the author says."""

    def __bool__(self) -> bool:
        return bool(self.configs or self.condition)

    def model(self, around: Surroundings, own: Component.Config | None = None, seed: int = 0) -> Model:
        """A model of the partners, of a part of one's own, and of small parts for the rest; the same every time.

        Args:
            around: the shapes and side data that it is made for.
            own: the part's options; None: the model is made around it, for the passes that it reads.
            seed: the seed of the weights.

        Raises:
            ComponentError: the parts do not go together.
        """
        shape, latent, features, sides = around
        if not self and own is None:
            return tiny_model(shape, latent, features)
        with torch.random.fork_rng(devices=[]):
            seed_torch(seed)
            config = self._config(latent, features, own)
            reads = (*self.condition, *(name for _, each in config.components() for name in each.component.reads))
            usual = {name: likely(name, shape)[0] for name in reads}
            model = build(config, Schema(shape, {**usual, **self.sides, **sides}, TRAINING_DATA))
        if own is not None:
            return model
        model.generates = model.has_prior
        return model.eval()  # in training a sampler may leave out what no term here needs

    def _config(self, latent: Shape, features: Shape, own: Component.Config | None) -> RunConfig:
        chosen = {kind: configs[0] for kind, configs in self.configs.items() if kind != "loss"}
        terms = [] if own is None else [*self.configs.get("loss", ())]
        if own is not None and own.component.kind == "loss":
            terms.insert(0, own)
        elif own is not None:
            chosen[own.component.kind] = own
        terms += self._stand_in_terms(terms, chosen.get("prior"))
        tiny = {
            "encoder": TinyEncoder.Config(features=features),
            "sampler": TinySampler.Config(latent=latent, gives_log_q=True),
            "decoder": TinyDecoder.Config(),
            "likelihood": TinyLikelihood.Config(),
        }
        parts: dict[str, Any] = {**tiny, **chosen, "loss": tuple(terms)}
        return RunConfig.model_construct(
            data=DataSource.Config.model_validate({"name": NAME}), condition=self.condition, **parts
        )

    def _stand_in_terms(self, terms: list[Any], prior: Component.Config | None) -> list[Any]:
        """The terms to add: one that reads the encoder if none does, and where none are stated, one for the prior."""
        needs = {need for term in terms for need in term.component.needs}
        added: list[Any] = [] if ENCODER_NEEDS & needs else [TinyLoss.Config()]
        if prior is not None and "loss" not in self.configs and not issubclass(prior.component, FittedPrior):
            added.append(config_of(TinyRatio, TinyRatio.Config()))
        return added


def partners_of(
    component: type[Component],
    partners: Mapping[str, Any],
    latent_shapes: Iterable[Shape] | None,
    sides: Mapping[str, Side],
) -> Partners:
    """The partners of a part, looked up.

    Raises:
        ComponentError: one is of no kind that a model has, is not there, or lacks options without a default.
        ConfigError: options of one are wrong.
    """
    configs = {}
    for kind, several in partners.items():
        if kind == CONDITION:
            continue
        if kind not in KEYS:
            raise ComponentError(f"partners of {component.__name__}: '{kind}'; {nearest(kind, (*KEYS, CONDITION))}")
        listed = several if isinstance(several, list | tuple) else [several]
        configs[kind] = tuple(_config_of(component, kind, each) for each in listed)
        if len(configs[kind]) > 1 and kind != "loss":
            raise ComponentError(f"partners of {component.__name__}: a model has one {kind}, and several losses")
    condition = partners.get(CONDITION, ())
    names = (condition,) if isinstance(condition, str) else tuple(condition)
    shapes = None if latent_shapes is None else tuple(tuple(shape) for shape in latent_shapes)
    return Partners(configs, names, shapes, sides)


def _config_of(component: type[Component], kind: str, partner: Partner) -> Component.Config:
    if isinstance(partner, Component.Config):
        return partner
    values: dict[str, Any] = {}
    if isinstance(partner, str | Mapping):
        values = {"name": partner} if isinstance(partner, str) else {**partner}
        if "name" not in values:
            raise ComponentError(f"partners of {component.__name__}: {kind} {partner!r} has no name")
        partner = installed().find(kind, values["name"])
    if (problem := why_no_component(partner)) is not None:
        raise ComponentError(f"partners of {component.__name__}: {problem}")
    return config_of(partner, settings_of(partner, values))
