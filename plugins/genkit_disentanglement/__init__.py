"""Latents that are independent or match a prior: terms, metrics of disentanglement, and data with known factors."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_disentanglement.capacity import Capacity
from genkit_disentanglement.covariance import DIP
from genkit_disentanglement.critic import FactorTerm
from genkit_disentanglement.discrepancy import MMD
from genkit_disentanglement.importance import DCI
from genkit_disentanglement.information import MIG
from genkit_disentanglement.predictability import SAP
from genkit_disentanglement.sprites import Sprites
from genkit_disentanglement.total_correlation import TotalCorrelation
from genkit_disentanglement.traversals import Smoothness
from genkit_disentanglement.votes import FactorScore

__all__ = [
    "DCI",
    "DIP",
    "MIG",
    "MMD",
    "SAP",
    "Capacity",
    "FactorScore",
    "FactorTerm",
    "Smoothness",
    "Sprites",
    "TotalCorrelation",
]


@hookimpl
def components() -> list[type[Component]]:
    """Five loss terms, five metrics, and a source of data."""
    terms = (TotalCorrelation, FactorTerm, DIP, Capacity, MMD)
    return [*terms, MIG, DCI, SAP, FactorScore, Smoothness, Sprites]
