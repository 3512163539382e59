"""Priors: the standard normal and Laplace, mixtures that are learned with the model, and one fitted after training."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_priors.fitted import GaussianMixturePrior
from genkit_priors.laplace import LaplacePrior
from genkit_priors.learned import MixturePrior
from genkit_priors.normal import NormalPrior
from genkit_priors.vamp import VampPrior

__all__ = ["GaussianMixturePrior", "LaplacePrior", "MixturePrior", "NormalPrior", "VampPrior"]


@hookimpl
def components() -> list[type[Component]]:
    """Five priors."""
    return [NormalPrior, LaplacePrior, MixturePrior, VampPrior, GaussianMixturePrior]
