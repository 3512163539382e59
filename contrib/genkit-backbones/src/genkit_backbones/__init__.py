"""The vision backbones of Hugging Face transformers as encoders of genkit.

transformers is imported when an encoder is built, not with this package, so that listing plugins stays quick.
"""

from __future__ import annotations

from genkit import Encoder, hookimpl

from genkit_backbones.encoder import BackboneEncoder

__all__ = ["BackboneEncoder"]


@hookimpl
def components() -> list[type[Encoder]]:
    """One encoder, for all architectures."""
    return [BackboneEncoder]
