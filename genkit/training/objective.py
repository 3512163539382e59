"""The objective that every system minimises, and its gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from genkit.data.dataset import as_float
from genkit.interfaces import Forward
from genkit.model.model import Model
from genkit.parallel.draws import mean
from genkit.record.scores import Figures
from genkit.training.optimization import MODEL, critic_of


def objective(model: Model, x: Tensor, weights: Tensor) -> tuple[Tensor, Figures, Forward | None]:
    """What is minimised, and what is reported of it.

    Args:
        model: the model.
        x: (B, *shape).
        weights: (T,) the factors of the model's T terms.

    Returns:
        The weighted sum of the terms, (); the unweighted terms, the reconstruction and the KL where the model has them,
        in nats per datum; and, where a term is learned, the detached pass that its critic reads. Where processes share
        the batch, these are summands: added up over the processes, they are the means over it.
    """
    passed = model(x)
    terms = {name: mean(loss(passed)) for name, loss in model.losses.items()}
    figures = {f"term/{name}": term.detach() for name, term in terms.items()}
    if passed.log_prob is not None:
        figures["reconstruction"] = mean(-passed.log_prob.detach().mean(0))
    if passed.latent is not None and passed.latent.kl is not None:
        figures["kl"] = mean(passed.latent.kl.detach().sum(1))
    return weights @ torch.stack(list(terms.values())), figures, passed.detached() if model.critics else None


def differentiate(
    model: Model, fitted: Mapping[str, Sequence[Tensor]], x: Tensor, weights: Tensor, scale: Tensor | None = None
) -> tuple[dict[str, Sequence[Tensor | None]], Figures]:
    """One pass: the gradients of the objective, and of what each critic minimises on the same pass.

    Args:
        model: the model.
        fitted: the parameters that are learned, by their owner: `model`, or `loss.NAME`.
        x: (B, *shape), as the data are kept; uint8 stands for x / 255.
        weights: (T,) the factors of the model's T terms.
        scale: () what the gradients are multiplied by, so that float16 can hold them; None: nothing.

    Returns:
        As many gradients as parameters, by owner, None where a parameter has no part in the loss; and the figures of
        the batch.
    """
    loss, figures, passed = objective(model, as_float(x), weights)
    gradients: dict[str, Sequence[Tensor | None]] = {}
    gradients[MODEL] = _gradients(loss, fitted[MODEL], scale)
    for name, critic in model.critics.items():
        assert passed is not None
        value = mean(critic.critic_loss(passed))
        gradients[critic_of(name)] = _gradients(value, fitted[critic_of(name)], scale)
        figures[f"critic/{name}"] = value.detach()
    return gradients, figures


def _gradients(value: Tensor, parameters: Sequence[Tensor], scale: Tensor | None) -> Sequence[Tensor | None]:
    return torch.autograd.grad(value if scale is None else value * scale, parameters, allow_unused=True)
