"""Latents on the sphere: the hyperspherical VAE of Davidson et al. 2018 (arXiv:1804.00891)."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_sphere.priors import SpherePrior
from genkit_sphere.samplers import VonMisesFisherSampler

__all__ = ["SpherePrior", "VonMisesFisherSampler"]


@hookimpl
def components() -> list[type[Component]]:
    """A sampler and a prior."""
    return [VonMisesFisherSampler, SpherePrior]
