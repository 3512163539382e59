"""Fitting a prior to the latents of the training data, after the training."""

from __future__ import annotations

import torch
from torch import Tensor

from genkit.data.dataset import Dataset, as_float
from genkit.errors import ComponentError, GenkitError, in_a_line, place
from genkit.interfaces import FittedPrior
from genkit.model.batches import MOST
from genkit.model.model import Model
from genkit.model.network import evaluating
from genkit.training.seeds import own_random_state, seed_everything


def fits_later(model: Model) -> bool:
    """Whether the model has a prior that is fitted after training, and is not yet."""
    return isinstance(model.prior, FittedPrior) and not bool(model.prior.is_fitted)


def forget_fit(model: Model) -> None:
    """Have the prior fitted anew, as training goes on."""
    if isinstance(model.prior, FittedPrior):
        model.prior.is_fitted.zero_()


def fit_prior(model: Model, data: Dataset, seed: int, epoch: int) -> None:
    """Fit the model's prior to a draw from q(z|x) for each training datum; the same seed and epoch give the same prior.

    Raises:
        ComponentError: the prior cannot be fitted.
    """
    prior = model.prior
    assert isinstance(prior, FittedPrior)
    with own_random_state(), evaluating(model):
        seed_everything(seed, epoch)
        z = torch.cat(_latents(model, data))
        try:
            prior.fit(z)
        except GenkitError:
            raise
        except Exception as error:
            assert model.config is not None
            assert model.config.prior is not None
            who = f"prior '{model.config.prior.name}' cannot be fitted to latents of shape {tuple(z.shape)}"
            raise ComponentError(f"{who}: {in_a_line(error)}{place(error)}") from error
        prior.is_fitted.fill_(1.0)


def _latents(model: Model, data: Dataset) -> list[Tensor]:
    """A draw for each training datum, batch by batch."""
    batches = data.batches(data.train, MOST, whole=True, names=model.inputs)
    return [model.posterior(as_float(batch.x), 1, batch.side).z[0] for batch in batches]
