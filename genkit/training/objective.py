"""The objective that every system minimises, and its gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from genkit.data.dataset import as_float
from genkit.interfaces import Forward
from genkit.model.conditions import NOTHING, Beside
from genkit.model.model import Model
from genkit.parallel.draws import mean
from genkit.record.totals import Figures
from genkit.training.optimization import MODEL, critic_of


def objective(
    model: Model, x: Tensor, weights: Tensor, side: Mapping[str, Tensor] = NOTHING
) -> tuple[Tensor, Figures, Forward]:
    """The objective of a batch, with its figures.

    Args:
        model: the model.
        x: the data (B, *shape).
        weights: the factors (T,) of the model's T terms.
        side: the side data that the model reads, (B, ...) each.

    Returns:
        The weighted sum of the terms, (); the figures in nats per datum: the unweighted terms, and the reconstruction
        and the KL where the model has them; and the pass itself. Where processes share the batch, the figures are
        summands: their sum over the processes is the mean over the batch.
    """
    forward = model(x, side=side)
    beside = Beside(side, forward.condition)
    terms = {name: mean(loss(forward, **beside.of(loss))) for name, loss in model.losses.items()}
    figures = {f"term/{name}": term.detach() for name, term in terms.items()}
    if forward.log_prob is not None:
        figures["reconstruction"] = mean(-forward.log_prob.detach().mean(0))
    if forward.latent is not None and (divergence := forward.latent.divergence) is not None:
        figures["kl"] = mean(divergence.detach().sum(1))
    return weights @ torch.stack(list(terms.values())), figures, forward


def differentiate(
    model: Model,
    fitted: Mapping[str, Sequence[Tensor]],
    x: Tensor,
    weights: Tensor,
    scale: Tensor | None = None,
    *side: Tensor,
) -> tuple[dict[str, Sequence[Tensor | None]], Figures]:
    """The gradients of the objective, and of each critic's loss on the same pass.

    Args:
        model: the model.
        fitted: the parameters to learn at this step, by their owner: `model`, or `loss.NAME`.
        x: the data (B, *shape), as they are stored; uint8 is read as x / 255.
        weights: the factors (T,) of the model's T terms.
        scale: the factor () of the gradients, so that float16 can hold them; None: 1.
        side: the side data that the model reads, (B, ...) each, in the order of `model.reads`.

    Returns:
        One gradient per parameter, by owner, None where the loss does not depend on the parameter; and the figures of
        the batch.
    """
    values = dict(zip(model.reads, side, strict=True))
    loss, figures, attached = objective(model, as_float(x), weights, values)
    forward = attached.detached() if model.critics else None
    del attached  # what no gradient needs is freed
    gradients: dict[str, Sequence[Tensor | None]] = {}
    if MODEL in fitted:
        gradients[MODEL] = _gradients(loss, fitted[MODEL], scale)
    for name, critic in model.critics.items():
        if critic_of(name) not in fitted:
            continue
        assert forward is not None
        value = mean(critic.critic_loss(forward, **Beside(values, forward.condition).of(critic)))
        gradients[critic_of(name)] = _gradients(value, fitted[critic_of(name)], scale)
        figures[f"critic/{name}"] = value.detach()
    return gradients, figures


def _gradients(value: Tensor, parameters: Sequence[Tensor], scale: Tensor | None) -> Sequence[Tensor | None]:
    return torch.autograd.grad(value if scale is None else value * scale, parameters, allow_unused=True)
