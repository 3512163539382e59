"""Autoencoders, plain and sparse: a point instead of a distribution, and penalties on activations."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_sparse.losses import L1, Sparsity
from genkit_sparse.samplers import PointSampler

__all__ = ["L1", "PointSampler", "Sparsity"]


@hookimpl
def components() -> list[type[Component]]:
    """A sampler and two loss terms."""
    return [PointSampler, Sparsity, L1]
