"""Trials of a model: a pass taken part by part, so that an error names the first part at fault.

B data, K draws; see `genkit.interfaces`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genkit.data.dataset import Batch, as_float
from genkit.errors import ComponentError, GenkitError, TrainingError, in_a_line, place
from genkit.interfaces import Forward, Latent, LearnedLoss, Loss, Prior, Shape
from genkit.interfaces.signatures import remedy
from genkit.model.conditions import Beside, widen
from genkit.model.model import Model
from genkit.model.needs import check_density

_LATENT_NEEDS = {"divergence": "a KL divergence", "log_ratio": "a density", "log_q": "a density log q(z|x) of its own"}
_NEED_OF = {"divergence": "kl", "log_ratio": "log_ratio", "log_q": "log_q"}


def try_parts(model: Model, x: Tensor, side: Mapping[str, Tensor]) -> None:
    """Send data through the parts, one after the other; raises ComponentError with the first part at fault.

    Args:
        model: a model with a config.
        x: the data (B, *shape), as the model sees them.
        side: the side data that the model reads, (B, ...) each.
    """
    assert model.config is not None
    config, count, beside = model.config, len(x), model.beside(side)
    latent = None
    if model.encoder is not None:
        latent = _encoded(model, x, beside)
    if model.sampler.has_prior:
        _attempt(f"sampler '{config.sampler.name}' (prior)", (3, *model.sampler.latent_shape), model.sampler.prior, 3)
    if latent is not None and model.prior is not None:
        latent = _with_prior(model, model.prior, latent)
    z = latent.z if latent is not None else model.draw(count).unsqueeze(0)
    draws, params_shape = z.shape[0], model.likelihood.params_shape
    decoder, wide = f"decoder '{config.decoder.name}'", widen(z.flatten(0, 1), beside.repeated(draws).condition)
    keywords = beside.repeated(draws).of(model.decoder)
    seen = (model.there(x, beside).repeat(draws, *[1] * (x.ndim - 1)),) if model.in_steps else ()
    flat = _attempt(decoder, (draws * count, *params_shape), model.decoder, wide, *seen, **keywords)
    params = flat.unflatten(0, (draws, count))
    likelihood, keywords = f"likelihood '{config.likelihood.name}'", beside.of(model.likelihood)
    log_prob = _attempt(likelihood, (draws, count), model.log_prob, x, params, beside)
    mean = _attempt(f"{likelihood} (mean)", (draws, count, *model.shape), model.likelihood.mean, params, **keywords)
    generated, drawn = (mean[0], z[0]) if model.generates else (None, None)
    forward = Forward(x, latent, params, log_prob, generated, model.likelihood, beside.condition, drawn)
    _check_terms(model, forward if latent is not None else forward._replace(params=None, log_prob=None), beside)


def _with_prior(model: Model, prior: Prior, latent: Latent) -> Latent:
    """What the sampler gives, with the config's prior; raises ComponentError where the two do not go together."""
    assert model.config is not None
    assert model.config.prior is not None
    check_density(model.config, prior, latent, model.losses.values())  # type: ignore[arg-type]
    if not model.has_own_prior:
        return latent
    who = f"prior '{model.config.prior.name}'"
    _attempt(f"{who} (sample)", (3, *model.sampler.latent_shape), prior.sample, 3)
    if latent.log_q is None:
        return latent
    log_prob = _attempt(who, latent.z.shape[:2], prior.log_prob, latent.z)
    return latent._replace(kl=None, log_ratio=latent.log_q - log_prob)


def fault(model: Model, x: Tensor, side: Mapping[str, Tensor], error: BaseException, compiled: bool) -> GenkitError:
    """The error to raise for a failed training step: it names the part that fails on this batch, if one does.

    Args:
        model: the model in the state in which the step failed.
        x: the batch (B, *shape), as the model sees it.
        side: the side data that the model reads, (B, ...) each.
        error: the exception that the step raised.
        compiled: whether the step was compiled.
    """
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            try_parts(model, x, side)
    except GenkitError as misfit:
        return misfit
    except torch.OutOfMemoryError:
        pass
    if isinstance(error, torch.OutOfMemoryError):
        return TrainingError(f"the memory of the device is too small: {in_a_line(error)}; lower training.batch_size")
    text = str(error)
    if "modified by an inplace operation" in text:
        cause = "a part changes a tensor in place that the gradients need"
    elif "does not require grad" in text:
        cause = "something cuts the gradients off on their way to all that is fitted: detach, no_grad, argmax"
    elif compiled:
        cause = "training.compile: false may do without"
    else:
        cause = "each part alone runs forward, so look at a backward of its own"
    return TrainingError(f"a training step fails: {in_a_line(error)}{place(error)}; {cause}")


def not_finite(model: Model, batches: Iterable[Batch]) -> str | None:
    """Which part gives numbers that are not finite before any training, and for which datum; None: no part does.

    Args:
        model: a model that was never trained.
        batches: whole batches of the training data.
    """
    assert model.config is not None
    if model.encoder is None or model.config.encoder is None:
        return None
    start = 0
    for batch in batches:
        x = as_float(batch.x)
        features, latent, params, log_prob = _values(model, x, model.beside(batch.side))
        divergence = latent.divergence
        for kind, values in (
            ("encoder", [features]),
            ("sampler", [latent.z[0], *([] if divergence is None else [divergence])]),
            ("decoder", [params]),
            ("likelihood", [log_prob]),
        ):
            bad = ~torch.stack([value.reshape(len(x), -1).isfinite().all(1) for value in values]).all(0)
            if bool(bad.any()):
                name, datum = getattr(model.config, kind).name, start + int(bad.nonzero()[0])
                return (
                    f"{kind} '{name}' makes of training datum {datum} what is not finite, before any training: a "
                    f"division by 0, or a logarithm of it; genkit check-plugin {kind}/{name} may tell more"
                )
        start += len(x)
    return None


def _values(model: Model, x: Tensor, beside: Beside) -> tuple[Tensor, Latent, Tensor, Tensor]:
    """The features of a batch x (B, *shape), a draw, and the decoder's output and the log-likelihood for it."""
    assert model.encoder is not None
    features = model.encoder(model.widened(x, beside), **beside.of(model.encoder))
    latent: Latent = model.sampler(features, 1, **beside.of(model.sampler))
    params = model.params(latent.z[0], beside, x=x)
    log_prob = model.log_prob(x, params.unsqueeze(0), beside)[0]
    return features, latent, params, log_prob


def _encoded(model: Model, x: Tensor, beside: Beside) -> Latent:
    assert model.encoder is not None
    assert model.config is not None
    config = model.config
    assert config.encoder is not None
    b, k, latent_shape = len(x), max(model.draws, 1), model.sampler.latent_shape
    who, wide, keywords = f"encoder '{config.encoder.name}'", model.widened(x, beside), beside.of(model.encoder)
    features = _attempt(who, (b, *model.encoder.out_shape), model.encoder, wide, **keywords)
    who, keywords = f"sampler '{config.sampler.name}'", beside.of(model.sampler)
    latent = _attempt(who, None, model.sampler, features, k, **keywords)
    _check_latent(who, latent, (k, b, *latent_shape))
    none = _attempt(who, None, model.sampler, features, 0, **keywords)
    _check_latent(f"{who}, asked for no draws,", none, (0, b, *latent_shape))
    assert isinstance(latent, Latent)
    return latent


def _check_latent(who: str, latent: Any, shape: Shape) -> None:
    """Refuse a sampler's output that does not fit z of shape (K, B, *latent_shape); raises ComponentError."""
    if not isinstance(latent, Latent):
        raise ComponentError(f"{who} gives {type(latent).__name__}; it must give a Latent")
    _same_shape(f"{who} (z)", latent.z, shape)
    _same_shape(f"{who} (mean)", latent.mean, shape[1:])
    if latent.kl is not None and not isinstance(latent.kl, Tensor):
        raise ComponentError(f"{who} (kl) gives {type(latent.kl).__name__} where a tensor or None is needed")
    if latent.kl is not None and tuple(latent.kl.shape[:-1]) not in (shape[1:2], shape[:2]):
        wanted = f"({shape[1]}, G) or, per draw, ({shape[0]}, {shape[1]}, G)"
        raise ComponentError(f"{who} (kl) gives shape {tuple(latent.kl.shape)} where {wanted} is needed")
    for name in ("log_ratio", "log_q"):
        if getattr(latent, name) is not None:
            _same_shape(f"{who} ({name})", getattr(latent, name), shape[:2])


def _seen_by(loss: Loss, forward: Forward) -> Forward:
    """The pass without what a sampler may leave out in training where no term says that it reads it."""
    if forward.latent is None or "log_q" in loss.needs:
        return forward
    return forward._replace(latent=forward.latent._replace(log_q=None))


def _check_terms(model: Model, forward: Forward, beside: Beside) -> None:
    assert model.config is not None
    for name, loss in model.losses.items():
        assert isinstance(loss, Loss)
        for need, what in _LATENT_NEEDS.items():
            if _NEED_OF[need] in loss.needs and getattr(forward.latent, need) is None:
                message = f"loss '{name}' needs a sampler with {what}; sampler '{model.config.sampler.name}' has none"
                raise ComponentError(message)
        keywords, own = beside.of(loss), _seen_by(loss, forward)
        values = [_attempt(f"loss '{name}'", None, loss, own, **keywords)]
        if isinstance(loss, LearnedLoss):
            with torch.enable_grad():  # a critic's loss may take gradients itself
                who = f"loss '{name}' (critic)"
                values.append(_attempt(who, None, loss.critic_loss, own.detached(), **keywords))
        for value in values:
            if not isinstance(value, Tensor) or value.shape not in ((), (len(forward.x),)):
                output = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise ComponentError(f"loss '{name}' gives {output} for {len(forward.x)} data; it must give () or (B,)")
            _check_type(f"loss '{name}'", value)


def _attempt(who: str, shape: Shape | None, function: Callable[..., Any], *arguments: Any, **keywords: Tensor) -> Any:
    """The result of a function of one part; raises ComponentError where it fails or has another shape."""
    inside: list[tuple[str, tuple[Any, ...]]] = []
    try:
        with _following(function, inside):
            result = function(*arguments, **keywords)
    except (GenkitError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        layer, arguments = inside[-1] if inside else ("", arguments)
        shapes = ", ".join(str(tuple(a.shape)) for a in arguments if isinstance(a, Tensor))
        on = f" on input of shape {shapes}" if shapes else ""
        mode = " in training" if isinstance(function, nn.Module) and function.training else ""
        message = f"{who} fails{mode}{layer}{on}: {in_a_line(error)}{place(error)}{remedy(error)}"
        raise ComponentError(message) from error
    if shape is not None:
        _same_shape(who, result, shape)
    return result


@contextlib.contextmanager
def _following(function: Callable[..., Any], inside: list[tuple[str, tuple[Any, ...]]]) -> Iterator[None]:
    """Keep `inside` the stack of layers that a network is computing, the innermost last, each with its inputs."""
    handles = []
    for name, layer in function.named_modules() if isinstance(function, nn.Module) else ():
        if name:
            label = f" in its layer '{name}' ({type(layer).__name__})"
            enter = functools.partial(lambda label, _, inputs: inside.append((label, inputs)), label)
            handles.append(layer.register_forward_pre_hook(enter))
            handles.append(layer.register_forward_hook(lambda *_: inside.pop() and None))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _same_shape(who: str, value: Any, shape: Shape) -> None:
    if not isinstance(value, Tensor):
        raise ComponentError(f"{who} gives {type(value).__name__} where a tensor of shape {tuple(shape)} is needed")
    if tuple(value.shape) != tuple(shape):
        raise ComponentError(f"{who} gives shape {tuple(value.shape)} where {tuple(shape)} is needed (batch included)")
    _check_type(who, value)


def _check_type(who: str, value: Tensor) -> None:
    if value.dtype != torch.float32:
        gives, wanted = (str(dtype).removeprefix("torch.") for dtype in (value.dtype, torch.float32))
        raise ComponentError(f"{who} gives {gives} where {wanted} is needed: make new tensors with dtype=x.dtype")
