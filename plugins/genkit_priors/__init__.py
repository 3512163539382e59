"""Priors: the standard normal and Laplace, a mixture learned with the model, and one that is fitted after training."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_priors.fitted import GaussianMixturePrior
from genkit_priors.laplace import LaplacePrior
from genkit_priors.learned import MixturePrior
from genkit_priors.normal import NormalPrior

__all__ = ["GaussianMixturePrior", "LaplacePrior", "MixturePrior", "NormalPrior"]


@hookimpl
def components() -> list[type[Component]]:
    """Four priors."""
    return [NormalPrior, LaplacePrior, MixturePrior, GaussianMixturePrior]
