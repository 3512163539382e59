"""The interfaces that plugins implement, one file per kind. The author of a component needs to read nothing else.

A model is encoder -> sampler -> decoder, read as p(x|z) through a likelihood, with a prior p(z); training minimises the
weighted sum of a list of loss terms. Every figure is in nats per datum: summed over a datum, averaged over the batch
only by the core.

Shapes: B data in a batch, K draws from the posterior, D latent dimensions; `shape`, `out_shape` and the like leave out
the batch dimension. Parts take their random numbers from `genkit.normal` and `genkit.uniform`, which do not depend on
how many processes share a batch.
"""

from genkit.interfaces.classes import class_indices
from genkit.interfaces.columns import Column
from genkit.interfaces.component import Component, Schema, Shape, Side
from genkit.interfaces.data import DataSource, RawData, Share, Split
from genkit.interfaces.decoder import AutoregressiveDecoder, Decoder
from genkit.interfaces.encoder import Encoder
from genkit.interfaces.likelihood import FactorizedLikelihood, Likelihood, channel_axis, per_value, with_channels
from genkit.interfaces.loss import ENCODER_NEEDS, Forward, LearnedLoss, Loss, Need
from genkit.interfaces.metric import NATS, Description, Metric, MetricData, MetricNeed, Pass, TrainedModel
from genkit.interfaces.part import Attached, Follower, Part, Whole
from genkit.interfaces.prior import FittedPrior, Prior
from genkit.interfaces.reader import Reader
from genkit.interfaces.sampler import CodeSampler, DensitySampler, Latent, Sampler, Support
from genkit.interfaces.transform import Augmentation, Transform
from genkit.settings.base import ChosenByName

INTERFACES: tuple[type[Component], ...] = (
    *(DataSource, Encoder, Sampler, Prior, Decoder, Likelihood, Loss),
    *(Metric, Transform),
)
"""The kinds of components, in the order in which a config names them."""
KINDS = tuple(interface.kind for interface in INTERFACES)

__all__ = [
    "ENCODER_NEEDS",
    "INTERFACES",
    "KINDS",
    "NATS",
    "Attached",
    "Augmentation",
    "AutoregressiveDecoder",
    "ChosenByName",
    "CodeSampler",
    "Column",
    "Component",
    "DataSource",
    "Decoder",
    "DensitySampler",
    "Description",
    "Encoder",
    "FactorizedLikelihood",
    "FittedPrior",
    "Follower",
    "Forward",
    "Latent",
    "LearnedLoss",
    "Likelihood",
    "Loss",
    "Metric",
    "MetricData",
    "MetricNeed",
    "Need",
    "Part",
    "Pass",
    "Prior",
    "RawData",
    "Reader",
    "Sampler",
    "Schema",
    "Shape",
    "Share",
    "Side",
    "Split",
    "Support",
    "TrainedModel",
    "Transform",
    "Whole",
    "channel_axis",
    "class_indices",
    "per_value",
    "with_channels",
]
