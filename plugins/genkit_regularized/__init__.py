"""Regularized autoencoders: terms that make the latents of an autoencoder fit to be drawn from.

An explicit regularization of latents and decoder, with a prior fitted after training (Ghosh et al. 2020,
arXiv:1903.12436), or a critic that brings the latents to the prior (Makhzani et al. 2016, arXiv:1511.05644).
"""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_regularized.critic import LatentCritic
from genkit_regularized.norms import CodeNorm, DecoderNorm, DecoderSlope

__all__ = ["CodeNorm", "DecoderNorm", "DecoderSlope", "LatentCritic"]


@hookimpl
def components() -> list[type[Component]]:
    """Four loss terms."""
    return [CodeNorm, DecoderNorm, DecoderSlope, LatentCritic]
