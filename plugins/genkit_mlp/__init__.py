"""Multilayer perceptrons: an encoder and a decoder for data of any shape."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_mlp.decoder import MLPDecoder
from genkit_mlp.encoder import MLPEncoder

__all__ = ["MLPDecoder", "MLPEncoder"]


@hookimpl
def components() -> list[type[Component]]:
    """An encoder and a decoder."""
    return [MLPEncoder, MLPDecoder]
