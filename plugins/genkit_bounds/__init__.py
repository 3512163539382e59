"""Bounds on log p(x) that are tighter than the evidence lower bound: the importance-weighted bound."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_bounds.importance import ImportanceWeightedBound

__all__ = ["ImportanceWeightedBound"]


@hookimpl
def components() -> list[type[Component]]:
    """One loss term."""
    return [ImportanceWeightedBound]
