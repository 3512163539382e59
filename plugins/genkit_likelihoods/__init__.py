"""Likelihoods beside those of the plain variational autoencoder: heavy tails, intervals, levels, zeros and masks."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_likelihoods.continuous_bernoulli import ContinuousBernoulliLikelihood
from genkit_likelihoods.levels import CategoricalLikelihood
from genkit_likelihoods.logistic import DiscretizedLogisticLikelihood
from genkit_likelihoods.tails import LaplaceLikelihood, StudentTLikelihood
from genkit_likelihoods.wrapped import MaskedLikelihood, ZeroInflatedLikelihood

__all__ = [
    "CategoricalLikelihood",
    "ContinuousBernoulliLikelihood",
    "DiscretizedLogisticLikelihood",
    "LaplaceLikelihood",
    "MaskedLikelihood",
    "StudentTLikelihood",
    "ZeroInflatedLikelihood",
]


@hookimpl
def components() -> list[type[Component]]:
    """Five likelihoods, and two that change another."""
    of_numbers = (LaplaceLikelihood, StudentTLikelihood, ContinuousBernoulliLikelihood)
    of_levels = (CategoricalLikelihood, DiscretizedLogisticLikelihood)
    return [*of_numbers, *of_levels, ZeroInflatedLikelihood, MaskedLikelihood]
