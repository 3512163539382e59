"""Data sources: bundled digits, MNIST in its IDX files, arrays, folders of images, tables, counts, and waves."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_data.arrays import Arrays
from genkit_data.counts import Counts
from genkit_data.digits import Digits
from genkit_data.images import Images
from genkit_data.mnist import MNIST
from genkit_data.table import Tables
from genkit_data.waves import Waves

__all__ = ["MNIST", "Arrays", "Counts", "Digits", "Images", "Tables", "Waves"]


@hookimpl
def components() -> list[type[Component]]:
    """Seven data sources."""
    return [Digits, MNIST, Arrays, Images, Tables, Counts, Waves]
