"""Residual networks with pre-activation: an encoder and a decoder for images."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_resnet.networks import ResNetDecoder, ResNetEncoder

__all__ = ["ResNetDecoder", "ResNetEncoder"]


@hookimpl
def components() -> list[type[Component]]:
    """An encoder and a decoder."""
    return [ResNetEncoder, ResNetDecoder]
