"""The generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661): its discriminator is a learned loss."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_gan.losses import Adversarial

__all__ = ["Adversarial"]


@hookimpl
def components() -> list[type[Component]]:
    """A loss term."""
    return [Adversarial]
