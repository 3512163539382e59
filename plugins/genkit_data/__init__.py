"""Data sources: digits, MNIST, arrays, activations, images, tables, series, counts, Hugging Face's, and waves."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_data.activations import Activations
from genkit_data.arrays import Arrays
from genkit_data.counts import Counts
from genkit_data.digits import Digits
from genkit_data.huggingface import HuggingFace
from genkit_data.images import Images
from genkit_data.mnist import MNIST
from genkit_data.series import Series
from genkit_data.table import Tables
from genkit_data.waves import Waves

__all__ = ["MNIST", "Activations", "Arrays", "Counts", "Digits", "HuggingFace", "Images", "Series", "Tables", "Waves"]


@hookimpl
def components() -> list[type[Component]]:
    """The data sources."""
    return [Digits, MNIST, Arrays, Activations, Images, Tables, Series, Counts, HuggingFace, Waves]
