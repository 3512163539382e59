"""Data sources: digits, MNIST, arrays, activations, images, tables, data sets of Hugging Face, waves of a formula."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_data.activations import Activations
from genkit_data.arrays import Arrays
from genkit_data.digits import Digits
from genkit_data.huggingface import HuggingFace
from genkit_data.images import Images
from genkit_data.mnist import MNIST
from genkit_data.table import Tables
from genkit_data.waves import Waves

__all__ = ["MNIST", "Activations", "Arrays", "Digits", "HuggingFace", "Images", "Tables", "Waves"]


@hookimpl
def components() -> list[type[Component]]:
    """Eight data sources."""
    return [Digits, MNIST, Arrays, Activations, Images, Tables, HuggingFace, Waves]
