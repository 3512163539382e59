"""The variational autoencoder of Kingma & Welling 2014 (arXiv:1312.6114): its samplers, likelihoods and loss terms."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_vae.counts import NegativeBinomialLikelihood, PoissonLikelihood
from genkit_vae.laplace import LaplaceSampler
from genkit_vae.likelihoods import BernoulliLikelihood, GaussianLikelihood
from genkit_vae.losses import KL, Reconstruction
from genkit_vae.mixed import MixedLikelihood
from genkit_vae.samplers import GaussianSampler
from genkit_vae.scales import ScaledLikelihood

__all__ = [
    "KL",
    "BernoulliLikelihood",
    "GaussianLikelihood",
    "GaussianSampler",
    "LaplaceSampler",
    "MixedLikelihood",
    "NegativeBinomialLikelihood",
    "PoissonLikelihood",
    "Reconstruction",
    "ScaledLikelihood",
]


@hookimpl
def components() -> list[type[Component]]:
    """Two samplers, five likelihoods and two loss terms."""
    likelihoods = (BernoulliLikelihood, GaussianLikelihood, MixedLikelihood)
    of_counts = (PoissonLikelihood, NegativeBinomialLikelihood)
    return [GaussianSampler, LaplaceSampler, *likelihoods, *of_counts, Reconstruction, KL]
