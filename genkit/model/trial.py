"""Trials of a model: a pass taken part by part, so that an error names the first part at fault.

B data, K draws; see `genkit.interfaces`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from genkit.data.dataset import Batch, as_float
from genkit.errors import ComponentError, GenkitError, TrainingError, in_a_line, place
from genkit.interfaces import Forward, Latent, LearnedLoss, Loss, Shape
from genkit.model.model import Model

_LATENT_NEEDS = {"kl": "a KL divergence", "log_ratio": "a density"}


def try_parts(model: Model, x: Tensor) -> None:
    """Send data through the parts, one after the other; raises ComponentError with the first part at fault.

    Args:
        model: a model with a config.
        x: the data (B, *shape), as the model sees them.
    """
    assert model.config is not None
    config, count = model.config, len(x)
    latent = None
    if model.encoder is not None:
        latent = _encoded(model, x)
    if model.sampler.has_prior:
        _attempt(f"sampler '{config.sampler.name}' (prior)", (3, *model.sampler.latent_shape), model.sampler.prior, 3)
    z = latent.z if latent is not None else model.sampler.prior(count).unsqueeze(0)
    draws, params_shape = z.shape[0], model.likelihood.params_shape
    decoder = f"decoder '{config.decoder.name}'"
    flat = _attempt(decoder, (draws * count, *params_shape), model.decoder, z.flatten(0, 1))
    params = flat.unflatten(0, (draws, count))
    likelihood = f"likelihood '{config.likelihood.name}'"
    log_prob = _attempt(likelihood, (draws, count), model.likelihood.log_prob, x, params)
    mean = _attempt(f"{likelihood} (mean)", (draws, count, *model.shape), model.likelihood.mean, params)
    generated = mean[0] if model.generates else None
    if latent is None:
        _check_terms(model, Forward(x, None, None, None, generated, model.likelihood))
    else:
        _check_terms(model, Forward(x, latent, params, log_prob, generated, model.likelihood))


def fault(model: Model, x: Tensor, error: BaseException, compiled: bool) -> GenkitError:
    """The error to raise for a failed training step: it names the part that fails on this batch, if one does.

    Args:
        model: the model in the state in which the step failed.
        x: the batch (B, *shape), as the model sees it.
        error: the exception that the step raised.
        compiled: whether the step was compiled.
    """
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            try_parts(model, x)
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
        features = model.encoder(x)
        latent = model.sampler(features, 1)
        params = model.decoder(latent.z[0])
        log_prob = model.likelihood.log_prob(x, params.unsqueeze(0))[0]
        kl = [] if latent.kl is None else [latent.kl]
        for kind, values in (
            ("encoder", [features]),
            ("sampler", [latent.z[0], *kl]),
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


def _encoded(model: Model, x: Tensor) -> Latent:
    assert model.encoder is not None
    assert model.config is not None
    config = model.config
    assert config.encoder is not None
    b, k, latent_shape = len(x), max(model.draws, 1), model.sampler.latent_shape
    features = _attempt(f"encoder '{config.encoder.name}'", (b, *model.encoder.out_shape), model.encoder, x)
    who = f"sampler '{config.sampler.name}'"
    latent = _attempt(who, None, model.sampler, features, k)
    _check_latent(who, latent, (k, b, *latent_shape))
    _check_latent(f"{who}, asked for no draws,", _attempt(who, None, model.sampler, features, 0), (0, b, *latent_shape))
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
    if latent.kl is not None and (latent.kl.ndim != 2 or len(latent.kl) != shape[1]):
        raise ComponentError(f"{who} (kl) gives shape {tuple(latent.kl.shape)} where ({shape[1]}, D) is needed")
    if latent.log_ratio is not None:
        _same_shape(f"{who} (log_ratio)", latent.log_ratio, shape[:2])


def _check_terms(model: Model, forward: Forward) -> None:
    assert model.config is not None
    for name, loss in model.losses.items():
        assert isinstance(loss, Loss)
        for need, what in _LATENT_NEEDS.items():
            if need in loss.needs and getattr(forward.latent, need) is None:
                message = f"loss '{name}' needs a sampler with {what}; sampler '{model.config.sampler.name}' has none"
                raise ComponentError(message)
        values = [_attempt(f"loss '{name}'", None, loss, forward)]
        if isinstance(loss, LearnedLoss):
            with torch.enable_grad():  # a critic's loss may take gradients itself
                values.append(_attempt(f"loss '{name}' (critic)", None, loss.critic_loss, forward.detached()))
        for value in values:
            if not isinstance(value, Tensor) or value.shape not in ((), (len(forward.x),)):
                output = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise ComponentError(f"loss '{name}' gives {output} for {len(forward.x)} data; it must give () or (B,)")


def _attempt(who: str, shape: Shape | None, function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function of one part; raises ComponentError where it fails or has another shape."""
    inside: list[tuple[str, tuple[Any, ...]]] = []
    try:
        with _following(function, inside):
            result = function(*arguments)
    except (GenkitError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        layer, arguments = inside[-1] if inside else ("", arguments)
        shapes = ", ".join(str(tuple(a.shape)) for a in arguments if isinstance(a, Tensor))
        on = f" on input of shape {shapes}" if shapes else ""
        mode = " in training" if isinstance(function, nn.Module) and function.training else ""
        raise ComponentError(f"{who} fails{mode}{layer}{on}: {in_a_line(error)}{place(error)}") from error
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
