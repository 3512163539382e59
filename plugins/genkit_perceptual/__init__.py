"""Distances of images that follow structure and spectra, made of formulas alone: no network is downloaded."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_perceptual.losses import Perceptual

__all__ = ["Perceptual"]


@hookimpl
def components() -> list[type[Component]]:
    """A loss term."""
    return [Perceptual]
