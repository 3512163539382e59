"""Transforms of data: standardize, range, rms and log1p; and augmentations: flip, shift, crop and noise."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_transforms.affine import RangeTransform, StandardizeTransform
from genkit_transforms.images import Crop, Flip, Noise, Shift
from genkit_transforms.logarithm import Log1pTransform
from genkit_transforms.norms import RMSTransform

__all__ = ["Crop", "Flip", "Log1pTransform", "Noise", "RMSTransform", "RangeTransform", "Shift", "StandardizeTransform"]


@hookimpl
def components() -> list[type[Component]]:
    """Four transforms and four augmentations."""
    return [StandardizeTransform, RangeTransform, RMSTransform, Log1pTransform, Flip, Shift, Crop, Noise]
