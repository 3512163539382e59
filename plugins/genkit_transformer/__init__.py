"""Transformers: an encoder and a decoder for images in patches and for the steps of series."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_transformer.networks import TransformerDecoder, TransformerEncoder

__all__ = ["TransformerDecoder", "TransformerEncoder"]


@hookimpl
def components() -> list[type[Component]]:
    """An encoder and a decoder."""
    return [TransformerEncoder, TransformerDecoder]
