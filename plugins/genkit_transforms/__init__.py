"""Transforms of data: standardize, range and log1p, each with its inverse and its log|det J|."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_transforms.affine import RangeTransform, StandardizeTransform
from genkit_transforms.logarithm import Log1pTransform

__all__ = ["Log1pTransform", "RangeTransform", "StandardizeTransform"]


@hookimpl
def components() -> list[type[Component]]:
    """Three transforms."""
    return [StandardizeTransform, RangeTransform, Log1pTransform]
