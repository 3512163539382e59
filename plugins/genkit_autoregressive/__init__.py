"""A decoder that gives data step by step, each by those before it."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_autoregressive.decoder import CausalDecoder

__all__ = ["CausalDecoder"]


@hookimpl
def components() -> list[type[Component]]:
    """A decoder."""
    return [CausalDecoder]
