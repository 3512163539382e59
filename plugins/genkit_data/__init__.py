"""Data sources: bundled digits, MNIST in its IDX files, arrays, folders of images, waves of a formula."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_data.arrays import Arrays
from genkit_data.digits import Digits
from genkit_data.images import Images
from genkit_data.mnist import MNIST
from genkit_data.waves import Waves

__all__ = ["MNIST", "Arrays", "Digits", "Images", "Waves"]


@hookimpl
def components() -> list[type[Component]]:
    """Five data sources."""
    return [Digits, MNIST, Arrays, Images, Waves]
