"""Features in which data are compared: the last hidden layer of a small classifier, trained on the data's labels.

Nothing is downloaded, so that the figures depend on the data alone. Without labels the same network has random weights:
they are coarser, but they can tell distributions apart too (Naeem et al. 2020, arXiv:2002.09797, section 4).

N data, F features, C channels, H and W pixels.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit.data.dataset import Dataset, as_float
from genkit.data.shuffling import window_of
from genkit.errors import GenkitError
from genkit.files import tensors
from genkit.interfaces import Reader, Shape, Split
from genkit.interfaces.reader import Data
from genkit.model.network import evaluating

RECIPE = "1"
"""The version of the network and its training, so that a cached network of another version is not used."""
FEATURES = 64
STEPS = 1500
BATCH = 128
RATE = 2e-3
LARGEST_MAP = 7
"""The largest number of rows and columns of a feature map; larger maps are averaged down to it."""


class Learned(NamedTuple):
    """The data that a network learns, in memory."""

    x: Tensor
    """(N, *shape)"""
    labels: Tensor | None
    """(N,)"""


class FeatureNetwork(nn.Module):
    """A classifier with features, its last hidden layer before the activation: x (N, *shape) -> (N, 64).

    It has two convolutions for data of shape (C, H, W), and a dense layer for any other shape. `read` gives the
    features in units of their standard deviation over the training data, so that no figure depends on their scale.

    Args:
        shape: the shape of one datum.
        classes: the number of classes; 0 for a network with random weights.
    """

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*(_convolutions(shape) if len(shape) == 3 else _dense(shape)))
        self.classes = classes
        self.last = nn.Sequential(nn.ReLU(), nn.Linear(FEATURES, classes)) if classes else None
        self.mean, self.deviation = nn.Buffer(torch.zeros(FEATURES)), nn.Buffer(torch.ones(FEATURES))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The features (N, 64) of x (N, *shape), and the logits of the classes (N, classes); None without classes."""
        features: Tensor = self.features(x)
        return features, None if self.last is None else self.last(features)

    def read(self, x: Data, size: int = 1000) -> tuple[Tensor, Tensor | None]:
        """The scaled features (N, 64) of x (N, *shape), uint8 or float, and the class that each looks like (N,)."""
        with evaluating(self):
            outputs = [self(as_float(batch)) for batch in x.split(size)]
        looks = [logits.argmax(1) for _, logits in outputs if logits is not None]
        features = (torch.cat([features for features, _ in outputs]) - self.mean) / self.deviation
        return features, torch.cat(looks) if looks else None

    def learn_scale(self, x: Tensor) -> None:
        """Set the mean and the standard deviation of each feature to those over data x (N, *shape)."""
        features = self.read(x)[0]
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0, correction=0).clamp_min(1e-6))

    def accuracy(self, split: Split) -> float | None:
        """The share of a split's data that get their own class; None without labels."""
        looks = self.read(split.x)[1]
        if looks is None or split.labels is None:
            return None
        return float((looks == split.labels).double().mean())


def feature_network(data: Dataset, cache: Path | None = None) -> FeatureNetwork:
    """The network for these data: from the cache, or trained now and put there.

    Args:
        data: the data set, with the training split to learn from.
        cache: the folder of the cache, by default in the user's; if it cannot be written, nothing is cached.
    """
    train = _in_memory(data.train)
    there = torch.zeros(0) if train.labels is None else train.labels.unique()
    classes = int(there.max()) + 1 if len(there) > 1 else 0  # one class alone, as data.keep leaves, teaches nothing
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = FeatureNetwork(data.shape, classes)
        if network.last is None or train.labels is None:
            network.learn_scale(train.x)
            return network.eval()
        file = (cache or _users_cache()) / f"{_key(train)}.safetensors"
        # where the file is missing or damaged, the network trained below replaces it
        with contextlib.suppress(GenkitError, OSError):
            tensors.fill(network, tensors.read_tensors(file)[0], file)
            return network.eval()
        _train(network, train.x, train.labels)
        network.learn_scale(train.x)
    with contextlib.suppress(GenkitError, OSError):
        tensors.write_tensors(file, network.state_dict(), {})
    return network.eval()


def _train(network: FeatureNetwork, x: Tensor, labels: Tensor) -> None:
    """Minimise the cross-entropy by Adam, with a learning rate that goes to 0."""
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        rows = torch.randint(len(x), (BATCH,))
        loss = F.cross_entropy(network(as_float(x[rows]))[1], labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()


def _convolutions(shape: Shape) -> list[nn.Module]:
    height, width = (min(LARGEST_MAP, math.ceil(size / 4)) for size in shape[1:])
    return [
        nn.Conv2d(shape[0], 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d((height, width)),
        nn.Flatten(),
        nn.Linear(64 * height * width, FEATURES),
    ]


def _dense(shape: Shape) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(math.prod(shape), 256), nn.ReLU(), nn.Linear(256, FEATURES)]


def _in_memory(split: Split) -> Learned:
    """The data of a split; of a reader those that take 1 GiB, the first ones."""
    some = split.first(window_of(split.x, None)) if isinstance(split.x, Reader) else split
    return Learned(some.x[:].cpu(), None if some.labels is None else some.labels.cpu())


def _key(train: Learned) -> str:
    """The cache key of data, labels and recipe: another content has another key."""
    digest = hashlib.sha256(f"{RECIPE} {torch.__version__} {tuple(train.x.shape)} {train.x.dtype}".encode())
    for tensor in train:
        assert tensor is not None
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:24]


def _users_cache() -> Path:
    with warnings.catch_warnings():  # what it imports warns of widgets for notebooks, which nothing here uses
        warnings.simplefilter("ignore")
        import pooch

    return Path(pooch.os_cache("genkit")) / "features"
