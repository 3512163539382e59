"""Latents of known structure: terms that make them independent or match a prior, and metrics of disentanglement."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_disentanglement.capacity import Capacity
from genkit_disentanglement.covariance import DIP
from genkit_disentanglement.critic import FactorTerm
from genkit_disentanglement.discrepancy import MMD
from genkit_disentanglement.total_correlation import TotalCorrelation

__all__ = ["DIP", "MMD", "Capacity", "FactorTerm", "TotalCorrelation"]


@hookimpl
def components() -> list[type[Component]]:
    """Five loss terms."""
    return [TotalCorrelation, FactorTerm, DIP, Capacity, MMD]
