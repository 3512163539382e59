"""Priors: the standard normal, a mixture that is learned with the model, and one that is fitted after training."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_priors.fitted import GaussianMixturePrior
from genkit_priors.learned import MixturePrior
from genkit_priors.normal import NormalPrior

__all__ = ["GaussianMixturePrior", "MixturePrior", "NormalPrior"]


@hookimpl
def components() -> list[type[Component]]:
    """Three priors."""
    return [NormalPrior, MixturePrior, GaussianMixturePrior]
