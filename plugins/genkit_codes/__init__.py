"""Discrete latents: codebooks, their loss terms and priors."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_codes.losses import Commitment
from genkit_codes.vq import VQSampler

__all__ = ["Commitment", "VQSampler"]


@hookimpl
def components() -> list[type[Component]]:
    """A sampler and a loss term."""
    return [VQSampler, Commitment]
