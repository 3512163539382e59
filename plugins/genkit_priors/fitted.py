"""A mixture of Gaussians as a prior that is fitted after training.

N data, C components, D numbers of a latent.
"""

from __future__ import annotations

import math
import warnings
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import FittedPrior, Shape
from genkit_priors.mixtures import draws, log_density


class GaussianMixturePrior(FittedPrior):
    """p(z) = Σ_c w_c N(mean_c, covariance_c), fitted to the latents of the training data by EM.

    Ghosh et al. 2020 (arXiv:1903.12436, section 4) make an autoencoder generate so ("ex-post density estimation"). EM
    is scikit-learn's `GaussianMixture`.

    Args:
        config: the number of components and the form of their covariances.
        latent_shape: any shape, which is flattened.
    """

    class Config(FittedPrior.Config):
        """Options of the mixture."""

        name: Literal["gmm"] = "gmm"
        components: Annotated[int, Field(ge=1, description="the number of Gaussians")] = 10
        covariance: Annotated[
            Literal["full", "diag"], Field(description="the form of each covariance: a whole matrix, or a diagonal")
        ] = "full"

    log_weights: Tensor
    means: Tensor
    roots: Tensor

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.latent_shape, self.covariance = latent_shape, config.covariance
        count, size = config.components, math.prod(latent_shape)
        self.register_buffer("log_weights", torch.full((count,), -math.log(count)))
        self.register_buffer("means", torch.zeros(count, size))
        identity = torch.ones(size) if config.covariance == "diag" else torch.eye(size)
        self.register_buffer("roots", identity.repeat(count, *[1] * identity.ndim))

    def fit(self, z: Tensor) -> None:
        """Fit to z (N, *latent_shape); raises DataError where there are fewer data than components."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        if len(z) < 2 * len(self.means):
            raise DataError(
                f"prior 'gmm': {len(z)} training data are too few for {len(self.means)} components; lower "
                "prior.components"
            )
        seed = int(torch.randint(2**31 - 1, ()))
        mixture = GaussianMixture(
            len(self.means), covariance_type=self.covariance, reg_covar=1e-5, max_iter=200, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the last steps change the density little
            mixture.fit(z.flatten(1).double().cpu().numpy())
        self.log_weights.copy_(torch.from_numpy(mixture.weights_).log())
        self.means.copy_(torch.from_numpy(mixture.means_))
        self.roots.copy_(torch.from_numpy(mixture.precisions_cholesky_))

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        flat = z.flatten(z.ndim - len(self.latent_shape))
        return log_density(flat, self.log_weights, self.means, self.roots)

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape)."""
        return draws(n, self.log_weights, self.means, self.roots).reshape(n, *self.latent_shape)
