"""The generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661): its discriminator is a learned loss."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_gan.joint import JointAdversarial
from genkit_gan.losses import Adversarial

__all__ = ["Adversarial", "JointAdversarial"]


@hookimpl
def components() -> list[type[Component]]:
    """Two loss terms."""
    return [Adversarial, JointAdversarial]
