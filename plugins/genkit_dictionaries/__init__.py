"""Dictionaries: overcomplete autoencoders of activations, in whose codes few units are active."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_dictionaries.decoder import DictionaryDecoder
from genkit_dictionaries.encoder import CentredEncoder
from genkit_dictionaries.losses import L0, Auxiliary, GateL1, GateReconstruction, Matryoshka
from genkit_dictionaries.metrics import LossRecovered
from genkit_dictionaries.samplers import BatchTopKSampler, TopKSampler
from genkit_dictionaries.thresholds import GatedSampler, JumpReLUSampler

__all__ = [
    "L0",
    "Auxiliary",
    "BatchTopKSampler",
    "CentredEncoder",
    "DictionaryDecoder",
    "GateL1",
    "GateReconstruction",
    "GatedSampler",
    "JumpReLUSampler",
    "LossRecovered",
    "Matryoshka",
    "TopKSampler",
]


@hookimpl
def components() -> list[type[Component]]:
    """An encoder, four samplers, a decoder, five loss terms and a metric."""
    samplers: list[type[Component]] = [TopKSampler, BatchTopKSampler, JumpReLUSampler, GatedSampler]
    losses: list[type[Component]] = [L0, Auxiliary, Matryoshka, GateL1, GateReconstruction]
    return [CentredEncoder, *samplers, DictionaryDecoder, *losses, LossRecovered]
