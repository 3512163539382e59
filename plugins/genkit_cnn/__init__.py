"""Convolutional networks: an encoder and a decoder for images, signals and volumes of any size."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_cnn.decoder import CNNDecoder
from genkit_cnn.encoder import CNNEncoder

__all__ = ["CNNDecoder", "CNNEncoder"]


@hookimpl
def components() -> list[type[Component]]:
    """An encoder and a decoder."""
    return [CNNEncoder, CNNDecoder]
