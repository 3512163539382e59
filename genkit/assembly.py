"""From a config to a model whose parts fit: each is built, then tried on two data, and the first misfit is named.

B data, K draws; see `genkit.interfaces`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genkit import layout
from genkit.config import RunConfig
from genkit.errors import ComponentError, GenkitError
from genkit.interfaces import (
    OF_THE_ENCODER,
    Component,
    Decoder,
    Encoder,
    Forward,
    Latent,
    LearnedLoss,
    Likelihood,
    Loss,
    Sampler,
    Shape,
)
from genkit.model import Model, evaluating
from genkit.registry import registry


def build(config: RunConfig, shape: Shape) -> Model:
    """The model that a config describes, for data of a shape. Parameters are drawn from torch's current random state.

    Raises:
        ComponentError: a part cannot be built, two parts do not fit, or a term needs what the model does not give.
    """
    encoder: Encoder | None = None if config.encoder is None else make("encoder", config.encoder, shape)
    features = None if encoder is None else _promised("encoder", config.encoder, encoder, "out_shape")
    sampler: Sampler = make("sampler", config.sampler, features)
    latent_shape = _promised("sampler", config.sampler, sampler, "latent_shape")
    likelihood: Likelihood = make("likelihood", config.likelihood, shape)
    params_shape = _promised("likelihood", config.likelihood, likelihood, "params_shape")
    decoder: Decoder = make("decoder", config.decoder, latent_shape, params_shape)
    losses: dict[str, Loss] = {}
    for term in config.loss:
        losses[_new_name(term.name, losses)] = make("loss", term, shape)
    _check_needs(config, sampler, losses)
    model = Model(encoder, sampler, decoder, likelihood, losses, shape)
    model.config = config
    with torch.random.fork_rng(), evaluating(model):
        _check_shapes(model, config)
    layout.settle(model)
    return model


def make(kind: str, config: Component.Config | None, *arguments: Any) -> Any:
    """A component from its options; raises ComponentError naming it where it cannot be built."""
    assert config is not None
    component: Any = registry().find(kind, config.name)
    try:
        return component(config, *arguments)
    except GenkitError:
        raise
    except Exception as error:
        shapes = " and ".join(str(argument) for argument in arguments)
        message = f"{kind} '{config.name}' cannot be built for shape {shapes}: {type(error).__name__}: {error}"
        raise ComponentError(message) from error


def _promised(kind: str, config: Component.Config | None, part: Any, attribute: str) -> Shape:
    shape = getattr(part, attribute, None)
    if not isinstance(shape, tuple) or not all(isinstance(size, int) for size in shape):
        assert config is not None
        raise ComponentError(f"{kind} '{config.name}' owes `{attribute}`, a tuple of whole numbers, and has {shape!r}")
    return shape


def _new_name(name: str, taken: Mapping[str, Any]) -> str:
    """The name itself, or name-2, name-3, ... where a config has a term twice."""
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
        if config.encoder is None and set(loss.needs) & OF_THE_ENCODER:
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
    if config.encoder is not None and not any(set(loss.needs) & OF_THE_ENCODER for loss in losses.values()):
        terms = ", ".join(f"'{name}'" for name in losses)
        raise ComponentError(f"encoder '{config.encoder.name}' is read by no loss term ({terms}); leave it out")


_OF_THE_LATENT = {"kl": "a KL divergence", "log_ratio": "a density"}


def _check_shapes(model: Model, config: RunConfig) -> None:
    """Send two zeros through the parts, one after the other, and name the first that does not keep its word."""
    x = torch.zeros(2, *model.shape)
    latent = None
    if model.encoder is not None:
        latent = _check_encoding(model, config, x)
    if model.sampler.has_prior:
        _tried(f"sampler '{config.sampler.name}' (prior)", (3, *model.sampler.latent_shape), model.sampler.prior, 3)
    z = latent.z if latent is not None else model.sampler.prior(2).unsqueeze(0)
    draws, params_shape = z.shape[0], model.likelihood.params_shape
    decoder = f"decoder '{config.decoder.name}'"
    params = _tried(decoder, (draws * 2, *params_shape), model.decoder, z.flatten(0, 1)).unflatten(0, (draws, 2))
    likelihood = f"likelihood '{config.likelihood.name}'"
    log_prob = _tried(likelihood, (draws, 2), model.likelihood.log_prob, x, params)
    mean = _tried(f"{likelihood} (mean)", (draws, 2, *model.shape), model.likelihood.mean, params)
    generated = mean[0] if model.generates else None
    if latent is None:
        _check_terms(model, Forward(x, None, None, None, generated, model), config)
    else:
        _check_terms(model, Forward(x, latent, params, log_prob, generated, model), config)


def _check_encoding(model: Model, config: RunConfig, x: Tensor) -> Latent:
    assert model.encoder is not None
    assert config.encoder is not None
    b, k, latent_shape = len(x), max(model.draws, 1), model.sampler.latent_shape
    features = _tried(f"encoder '{config.encoder.name}'", (b, *model.encoder.out_shape), model.encoder, x)
    who = f"sampler '{config.sampler.name}'"
    latent = _tried(who, None, model.sampler, features, k)
    _check_latent(who, latent, (k, b, *latent_shape))
    _check_latent(f"{who}, asked for no draws,", _tried(who, None, model.sampler, features, 0), (0, b, *latent_shape))
    assert isinstance(latent, Latent)
    return latent


def _check_latent(who: str, latent: Any, shape: Shape) -> None:
    """What a sampler owes for z of a shape (K, B, *latent_shape)."""
    if not isinstance(latent, Latent):
        raise ComponentError(f"{who} gives {type(latent).__name__}; it owes a Latent")
    _same_shape(f"{who} (z)", latent.z, shape)
    _same_shape(f"{who} (mean)", latent.mean, shape[1:])
    if latent.kl is not None and not isinstance(latent.kl, Tensor):
        raise ComponentError(f"{who} (kl) gives {type(latent.kl).__name__} where a tensor or None is needed")
    if latent.kl is not None and (latent.kl.ndim != 2 or len(latent.kl) != shape[1]):
        raise ComponentError(f"{who} (kl) gives shape {tuple(latent.kl.shape)} where ({shape[1]}, D) is needed")
    if latent.log_ratio is not None:
        _same_shape(f"{who} (log_ratio)", latent.log_ratio, shape[:2])


def _check_terms(model: Model, passed: Forward, config: RunConfig) -> None:
    for name, loss in model.losses.items():
        assert isinstance(loss, Loss)
        for need, what in _OF_THE_LATENT.items():
            if need in loss.needs and getattr(passed.latent, need) is None:
                message = f"loss '{name}' needs a sampler with {what}; sampler '{config.sampler.name}' has none"
                raise ComponentError(message)
        values = [_tried(f"loss '{name}'", None, loss, passed)]
        if isinstance(loss, LearnedLoss):
            with torch.enable_grad():  # a critic's loss may take gradients itself
                values.append(_tried(f"loss '{name}' (critic)", None, loss.critic_loss, passed.detached()))
        for value in values:
            if not isinstance(value, Tensor) or value.shape not in ((), (len(passed.x),)):
                given = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise ComponentError(f"loss '{name}' gives {given} for {len(passed.x)} data; it owes () or (B,)")


def _tried(who: str, shape: Shape | None, function: Callable[..., Any], *arguments: Any) -> Any:
    inside: list[tuple[str, tuple[Any, ...]]] = []
    try:
        with _following(function, inside):
            result = function(*arguments)
    except GenkitError:
        raise
    except Exception as error:
        layer, arguments = inside[-1] if inside else ("", arguments)
        given = ", ".join(str(tuple(a.shape)) for a in arguments if isinstance(a, Tensor))
        on = f" on input of shape {given}" if given else ""
        raise ComponentError(f"{who} fails{layer}{on}: {type(error).__name__}: {error}") from error
    if shape is not None:
        _same_shape(who, result, shape)
    return result


@contextlib.contextmanager
def _following(function: Callable[..., Any], inside: list[tuple[str, tuple[Any, ...]]]) -> Iterator[None]:
    """While a network computes, the layers that it is inside of, the innermost last, each with what it was given."""
    handles = []
    for name, layer in function.named_modules() if isinstance(function, nn.Module) else ():
        if name:
            label = f" in its layer '{name}' ({type(layer).__name__})"
            enter = functools.partial(lambda label, _, given: inside.append((label, given)), label)
            handles.append(layer.register_forward_pre_hook(enter))
            handles.append(layer.register_forward_hook(lambda *_: inside.pop() and None))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _same_shape(who: str, value: Any, owed: Shape) -> None:
    if not isinstance(value, Tensor):
        raise ComponentError(f"{who} gives {type(value).__name__} where a tensor of shape {tuple(owed)} is needed")
    if tuple(value.shape) != tuple(owed):
        raise ComponentError(f"{who} gives shape {tuple(value.shape)} where {tuple(owed)} is needed (batch included)")
