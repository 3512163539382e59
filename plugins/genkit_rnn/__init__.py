"""Recurrent networks: an encoder and a decoder for sequences, and for images read row by row."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_rnn.decoder import RNNDecoder
from genkit_rnn.encoder import RNNEncoder

__all__ = ["RNNDecoder", "RNNEncoder"]


@hookimpl
def components() -> list[type[Component]]:
    """An encoder and a decoder."""
    return [RNNEncoder, RNNDecoder]
