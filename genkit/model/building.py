"""Building a model from a config: each part is built, then tried on two data; an error names the first misfit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from genkit.config import RunConfig
from genkit.data.transforming import Chain
from genkit.errors import ComponentError, GenkitError, in_a_line, place
from genkit.interfaces import ENCODER_NEEDS, Component, Decoder, Encoder, Likelihood, Loss, Sampler, Shape
from genkit.model import trial
from genkit.model.model import Model, evaluating
from genkit.speed.layout import arrange_memory


def build(config: RunConfig, shape: Shape) -> Model:
    """The model that a config describes, for data of a shape. Its parameters are drawn from torch's random state.

    Raises:
        ComponentError: a part cannot be built, two parts do not fit, or a term needs what the model lacks.
    """
    encoder: Encoder | None = None if config.encoder is None else build_part(config.encoder, shape)
    features = None if config.encoder is None else _shape_attribute(config.encoder, encoder, "out_shape")
    sampler: Sampler = build_part(config.sampler, features)
    latent_shape = _shape_attribute(config.sampler, sampler, "latent_shape")
    likelihood: Likelihood = build_part(config.likelihood, shape)
    params_shape = _shape_attribute(config.likelihood, likelihood, "params_shape")
    decoder: Decoder = build_part(config.decoder, latent_shape, params_shape)
    losses: dict[str, Loss] = {}
    for term in config.loss:
        losses[new_name(term.name, losses)] = build_part(term, shape)
    _check_needs(config, sampler, losses)
    model = Model(encoder, sampler, decoder, likelihood, losses, shape)
    model.config = config
    model.transforms = Chain.of(config.data.transform, shape)
    with torch.random.fork_rng(), evaluating(model):
        trial.try_parts(model, torch.zeros(2, *model.shape))
    arrange_memory(model)
    return model


def build_part(config: Component.Config, *arguments: Any) -> Any:
    """The component with these options; raises ComponentError, with its name, where it cannot be built.

    Args:
        config: the component's options.
        arguments: the shapes that the component's class takes after the options.
    """
    component: Any = config.component
    kind = component.kind
    try:
        return component(config, *arguments)
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


def _check_needs(config: RunConfig, sampler: Sampler, losses: Mapping[str, Loss]) -> None:
    """Refuse a term that needs what the model lacks, and an encoder that no term reads."""
    if config.encoder is None and not sampler.has_prior:
        raise ComponentError(
            f"sampler '{config.sampler.name}' has no prior to draw from, so the model needs an encoder"
        )
    for name, loss in losses.items():
        if config.encoder is None and set(loss.needs) & ENCODER_NEEDS:
            raise ComponentError(f"loss '{name}' needs an encoder, and the config has none: say which encoder it uses")
        if "generated" in loss.needs and not sampler.has_prior:
            raise ComponentError(
                f"loss '{name}' needs a sampler with a prior; sampler '{config.sampler.name}' has none"
            )
        low, high = sampler.bounds
        if "unit_interval" in loss.needs and not (low >= 0 and high <= 1):
            raise ComponentError(
                f"loss '{name}' needs latents from 0 to 1; those of sampler '{config.sampler.name}' go from {low:g} "
                f"to {high:g}; give it an activation that bounds them (sigmoid)"
            )
    if config.encoder is not None and not any(set(loss.needs) & ENCODER_NEEDS for loss in losses.values()):
        terms = ", ".join(f"'{name}'" for name in losses)
        raise ComponentError(f"encoder '{config.encoder.name}' is read by no loss term ({terms}); leave it out")
