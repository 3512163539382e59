"""Discrete latents: codebooks, their loss terms and priors."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_codes.autoregressive import AutoregressivePrior
from genkit_codes.fsq import FSQSampler
from genkit_codes.lfq import LFQSampler
from genkit_codes.losses import Commitment, Entropy
from genkit_codes.relaxed import BernoulliSampler, CategoricalSampler
from genkit_codes.rvq import RVQSampler
from genkit_codes.uniform import UniformPrior
from genkit_codes.usage import CodeUsage
from genkit_codes.vq import VQSampler

__all__ = [
    "AutoregressivePrior",
    "BernoulliSampler",
    "CategoricalSampler",
    "CodeUsage",
    "Commitment",
    "Entropy",
    "FSQSampler",
    "LFQSampler",
    "RVQSampler",
    "UniformPrior",
    "VQSampler",
]


@hookimpl
def components() -> list[type[Component]]:
    """Six samplers, two loss terms, two priors and a metric."""
    quantizers = (VQSampler, RVQSampler, FSQSampler, LFQSampler)
    relaxed = (CategoricalSampler, BernoulliSampler)
    return [*quantizers, *relaxed, Commitment, Entropy, UniformPrior, AutoregressivePrior, CodeUsage]
