"""Transforms of data: standardize, range and log1p; and augmentations: flip, shift, crop and noise."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_transforms.affine import RangeTransform, StandardizeTransform
from genkit_transforms.images import Crop, Flip, Noise, Shift
from genkit_transforms.logarithm import Log1pTransform

__all__ = ["Crop", "Flip", "Log1pTransform", "Noise", "RangeTransform", "Shift", "StandardizeTransform"]


@hookimpl
def components() -> list[type[Component]]:
    """Three transforms and four augmentations."""
    return [StandardizeTransform, RangeTransform, Log1pTransform, Flip, Shift, Crop, Noise]
