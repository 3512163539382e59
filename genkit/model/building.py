"""Building a model from a config: each part is built, then tried on two data; an error names the first misfit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from genkit.config import RunConfig
from genkit.data.transforming import Chain
from genkit.errors import ComponentError, GenkitError, in_a_line, place
from genkit.interfaces import (
    Attached,
    Component,
    Decoder,
    Encoder,
    FactorizedLikelihood,
    Likelihood,
    Loss,
    Prior,
    Sampler,
    Schema,
    Shape,
)
from genkit.interfaces.component import MASK
from genkit.interfaces.signatures import check_signatures, remedy
from genkit.model import trial
from genkit.model.conditions import Conditions, conditioned_shape, keywords, placeholders, widened
from genkit.model.model import Model
from genkit.model.needs import check_needs
from genkit.model.network import evaluating
from genkit.speed.layout import arrange_memory


def build(config: RunConfig, data: Schema | Shape) -> Model:
    """The model that a config describes, for data of a schema, or of a shape where there are no side data.

    Its parameters are drawn from torch's random state.

    Raises:
        ComponentError: a part cannot be built, two parts do not fit, a term needs what the model lacks, or a part reads
            side data that there are not.
    """
    model = _assembled(config, data if isinstance(data, Schema) else Schema(tuple(data)))
    model.config, model.transforms = config, Chain.of(config.data.transform, model.schema)
    model.encoder_transforms = Chain.of(config.encoder_transform, model.schema, "encoder_transform")
    _attach(model, () if config.init is None else config.init.freeze)
    with torch.random.fork_rng(), evaluating(model):
        trial.try_parts(model, torch.zeros(2, *model.shape), placeholders(model.schema, model.reads, 2))
    arrange_memory(model)
    return model


def _assembled(config: RunConfig, schema: Schema) -> Model:
    """The parts, each built for the shapes of those before it."""
    shape = schema.shape
    conditions = Conditions(config.condition, schema) if config.condition else None
    size = 0 if conditions is None else conditions.size
    encoder: Encoder | None = None
    if config.encoder is not None:
        seen = conditioned_shape(config.encoder.component, shape, size)
        encoder = build_part(config.encoder, seen, **keywords(config.encoder, schema))
    features = None if config.encoder is None else _shape_attribute(config.encoder, encoder, "out_shape")
    sampler: Sampler = build_part(config.sampler, features, **keywords(config.sampler, schema))
    latent_shape = _shape_attribute(config.sampler, sampler, "latent_shape")
    likelihood: Likelihood = build_part(config.likelihood, shape, **keywords(config.likelihood, schema))
    _check_counts_steps(config.likelihood, likelihood, schema)
    params_shape = _shape_attribute(config.likelihood, likelihood, "params_shape")
    wide = widened(latent_shape, size) if size else latent_shape
    decoder: Decoder = build_part(config.decoder, wide, params_shape, **keywords(config.decoder, schema))
    losses: dict[str, Loss] = {}
    for term in config.loss:
        losses[new_name(term.name, losses)] = build_part(term, shape, **keywords(term, schema))
    prior: Prior | None = None
    if config.prior is not None and config.prior.name != sampler.own_prior:
        prior = build_part(config.prior, latent_shape, **keywords(config.prior, schema))
    check_needs(config, sampler, losses, prior, decoder)
    return Model(encoder, sampler, decoder, likelihood, losses, shape, prior, conditions, schema)


def _check_counts_steps(config: Component.Config, likelihood: Likelihood, schema: Schema) -> None:
    """Refuse a likelihood that would count the steps of series that are not there; raises ComponentError."""
    if schema.is_padded and not isinstance(likelihood, FactorizedLikelihood) and MASK not in likelihood.reads:
        raise ComponentError(
            f"likelihood '{config.name}' has one density for a whole datum, and the data are series of different "
            "lengths: steps that are not there would count; choose one with a density per value (a "
            f"genkit.FactorizedLikelihood), or one that reads '{MASK}'"
        )


def _attach(model: Model, frozen: Iterable[str]) -> None:
    """Let each part see the model, and freeze some."""
    for key, part in model.parts.items():
        if isinstance(part, Attached):
            kind, _, name = key.partition(".")
            _attach_part(f"{kind} '{name or getattr(model.config, kind).name}'", part, model)
    model.freeze(frozen)


def _attach_part(who: str, part: Attached, model: Model) -> None:
    """Let a part see the model; raises ComponentError, with its name, where it refuses or fails."""
    try:
        part.attach(model)
    except GenkitError as error:
        raise ComponentError(f"{who} refuses the model: {error}") from error
    except Exception as error:
        message = f"{who} cannot be attached to the model: {in_a_line(error)}{place(error)}{remedy(error)}"
        raise ComponentError(message) from error


def build_part(config: Component.Config, *arguments: Any, **facts: Any) -> Any:
    """The component with these options; raises ComponentError, with its name, where it cannot be built.

    Args:
        config: the component's options.
        arguments: the shapes that the component's class takes after the options.
        facts: what the side data hold that the component reads, and the facts about the data that it asks for.
    """
    component: Any = config.component
    kind = component.kind
    check_signatures(config)
    try:
        return component(config, *arguments, **facts)
    except GenkitError as error:
        if str(error).startswith(f"{kind} '"):
            raise
        raise ComponentError(f"{kind} '{config.name}' refuses {_listed(arguments)}: {error}") from error
    except Exception as error:
        message = f"{kind} '{config.name}' cannot be built for {_listed(arguments)}: {in_a_line(error)}{place(error)}"
        raise ComponentError(message) from error


def _listed(arguments: tuple[Any, ...]) -> str:
    """The arguments of a part beside its options, as text."""
    return f"shape {' and '.join(map(str, arguments))}" if arguments else "its options"


def _shape_attribute(config: Component.Config, part: Any, attribute: str) -> Shape:
    """The shape that a part has to set; raises ComponentError where it is no tuple of whole numbers."""
    shape = getattr(part, attribute, None)
    if not isinstance(shape, tuple) or not all(isinstance(size, int) for size in shape):
        raise ComponentError(
            f"{part.kind} '{config.name}' must set `{attribute}` to a tuple of whole numbers, and has {shape!r}"
        )
    return shape


def new_name(name: str, taken: Mapping[str, Any]) -> str:
    """The name itself, or name-2, name-3, ... where the name is taken."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate
