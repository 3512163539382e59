"""Where data come from: bundled digits, MNIST in its IDX files, arrays in files, folders of images."""

from genkit.hookspecs import hookimpl
from genkit.interfaces import Component
from genkit_data.arrays import Arrays
from genkit_data.digits import Digits
from genkit_data.images import Images
from genkit_data.mnist import MNIST

__all__ = ["MNIST", "Arrays", "Digits", "Images"]


@hookimpl
def components() -> list[type[Component]]:
    """Four data sources."""
    return [Digits, MNIST, Arrays, Images]
