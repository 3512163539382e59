"""Metrics of trained models: the importance-weighted bound on −log p(x), and probes of the latents for labels."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_metrics.nll import NLL
from genkit_metrics.probe import Probe

__all__ = ["NLL", "Probe"]


@hookimpl
def components() -> list[type[Component]]:
    """Two metrics."""
    return [NLL, Probe]
