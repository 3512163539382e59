"""Normalizing flows as posteriors and priors, and priors that are fitted after training by flows and flow matching."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_flows.matching import FlowMatchingPrior
from genkit_flows.priors import FittedFlowPrior, FlowPrior
from genkit_flows.samplers import FlowSampler

__all__ = ["FittedFlowPrior", "FlowMatchingPrior", "FlowPrior", "FlowSampler"]


@hookimpl
def components() -> list[type[Component]]:
    """A sampler and three priors."""
    return [FlowSampler, FlowPrior, FittedFlowPrior, FlowMatchingPrior]
