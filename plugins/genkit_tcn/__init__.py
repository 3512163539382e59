"""Temporal convolutional networks: an encoder and a decoder for series."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_tcn.decoder import TCNDecoder
from genkit_tcn.encoder import TCNEncoder

__all__ = ["TCNDecoder", "TCNEncoder"]


@hookimpl
def components() -> list[type[Component]]:
    """An encoder and a decoder."""
    return [TCNEncoder, TCNDecoder]
