"""Metrics of trained models: bounds on −log p(x), probes of latents, anomalies, and how sampled rows serve."""

from genkit.interfaces import Component
from genkit.registry.hooks import hookimpl
from genkit_metrics.anomaly import Anomaly
from genkit_metrics.closest import ClosestRecord
from genkit_metrics.nll import NLL
from genkit_metrics.probe import Probe
from genkit_metrics.transfer import TrainOnSampled

__all__ = ["NLL", "Anomaly", "ClosestRecord", "Probe", "TrainOnSampled"]


@hookimpl
def components() -> list[type[Component]]:
    """Five metrics."""
    return [NLL, Probe, Anomaly, ClosestRecord, TrainOnSampled]
