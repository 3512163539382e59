"""Hierarchies of latents: the ladder VAE of Sønderby et al. 2016 (arXiv:1602.02282)."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_ladder.samplers import LadderSampler

__all__ = ["LadderSampler"]


@hookimpl
def components() -> list[type[Component]]:
    """A sampler."""
    return [LadderSampler]
