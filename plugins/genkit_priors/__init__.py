"""Priors: the standard normal, mixtures that are learned with the model, and one that is fitted after training."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_priors.fitted import GaussianMixturePrior
from genkit_priors.learned import MixturePrior
from genkit_priors.normal import NormalPrior
from genkit_priors.vamp import VampPrior

__all__ = ["GaussianMixturePrior", "MixturePrior", "NormalPrior", "VampPrior"]


@hookimpl
def components() -> list[type[Component]]:
    """Four priors."""
    return [NormalPrior, MixturePrior, VampPrior, GaussianMixturePrior]
