from __future__ import annotations

from typing import Literal

import pytest
import torch

from genkit.interfaces import Augmentation, Transform
from genkit.parallel.draws import uniform


class Good(Transform):
    """Twice the data, from their mean on."""

    class Config(Transform.Config):
        name: Literal["of-test"] = "of-test"

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.register_buffer("mean", torch.zeros(()))

    def fit(self, blocks):
        sums = [(block.double().sum(), block.numel()) for block in blocks]
        self.mean.copy_(sum(total for total, _ in sums) / sum(count for _, count in sums))

    def forward(self, x):
        return 2 * (x - self.mean)

    def inverse(self, y):
        return y / 2 + self.mean

    def log_det(self, x):
        return x.new_full((len(x),), x[0].numel() * 0.6931472)


class Flattens(Good):
    """Flattens a datum."""

    def forward(self, x):
        return x.flatten(1)


class Divides(Good):
    """Divides by the spread of its training data, which may be 0."""

    def fit(self, blocks):
        self.mean.copy_(torch.cat(list(blocks)).std())

    def forward(self, x):
        return x / self.mean


class Lossy(Good):
    """Rounds."""

    def forward(self, x):
        return x.round()


class Inverted(Good):
    """Says the determinant of its inverse."""

    def log_det(self, x):
        return -super().log_det(x)


class PerValue(Good):
    """Says the determinant of a value."""

    def log_det(self, x):
        return x.new_full((len(x),), 0.6931472)


class Wide(Good):
    """Says a determinant for each value."""

    def log_det(self, x):
        return torch.zeros_like(x)


class Hidden(Good):
    """Keeps what it fits where it is not stored."""

    def fit(self, blocks):
        self.shift = float(next(iter(blocks)).mean()) + 1

    def forward(self, x):
        return 2 * (x - getattr(self, "shift", 0.0))


class Learned(Good):
    """Keeps what it fits in a parameter."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.factor = torch.nn.Parameter(torch.ones(()))


class OfBatch(Good):
    """Centres each batch."""

    def forward(self, x):
        return x - x.mean(0)


class FirstBlock(Good):
    """Fits itself to the first block."""

    def fit(self, blocks):
        self.mean.copy_(next(iter(blocks)).mean())


class InPlace(Good):
    """Changes what it gets."""

    def forward(self, x):
        return x.sub_(self.mean).mul_(2)


class Draws(Good):
    """Draws noise that is no larger than rounding."""

    def forward(self, x):
        return 2 * (x - self.mean) + 0 * torch.rand(1)


WRONG = [
    (Flattens, "shapes", "keep their shape"),
    (Divides, "shapes", "it makes of constant data what is not finite"),
    (Lossy, "inverse", "inverse(forward(x)) is off by up to"),
    (Inverted, "log det", "where the Jacobian of forward gives"),
    (PerValue, "log det", "it is the sum over all values of a datum"),
    (Wide, "log det", "log_det gives (24, 1, 8, 8), and must give (24,)"),
    (Hidden, "state", "keep all that is fitted in buffers"),
    (Learned, "state", "factor are parameters, which training would change"),
    (OfBatch, "blocks", "data in blocks become something else"),
    (FirstBlock, "blocks", "fitted by smaller blocks it does other things"),
    (InPlace, "input is kept", "forward changes its input in place"),
    (Draws, "input is kept", "it draws at random"),
]


@pytest.mark.parametrize(("component", "check", "said"), WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_what_breaks_a_promise_is_said(component, check, said, failures):
    assert said in failures(component)[check]


def test_a_good_transform_passes(failures):
    assert failures(Good) == {}


def test_one_that_says_what_it_cannot_is_not_held_to_it(failures):
    class Rounds(Lossy):
        """Rounds, and says so."""

        invertible = False
        has_log_det = False

    assert failures(Rounds) == {}


class Jitters(Augmentation):
    """Takes each datum's brightness down, by another factor each time."""

    class Config(Augmentation.Config):
        name: Literal["of-test-2"] = "of-test-2"

    def fit(self, blocks):
        pass

    def augment(self, x):
        factor = uniform(len(x), batch=0, like=x).view(-1, *[1] * (x.ndim - 1))
        return x * (1 - factor / 2)


class Same(Jitters):
    """Does the same each time."""

    def augment(self, x):
        return x / 2


class Bright(Jitters):
    """Leaves the range of the data."""

    def augment(self, x):
        return super().augment(x) + 100


class OwnDraws(Jitters):
    """Draws by torch."""

    def augment(self, x):
        return x * torch.rand(len(x), *[1] * (x.ndim - 1))


@pytest.mark.parametrize(
    ("component", "check", "said"),
    [
        (Same, "augmentation", "it gives the same twice"),
        (Bright, "augmentation", "become values from"),
        (OwnDraws, "shared augmentation", "take random numbers from genkit.uniform"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_breaks_a_promise_of_augmentations_is_said(component, check, said, failures):
    assert said in failures(component)[check]


def test_a_good_augmentation_passes(failures):
    assert failures(Jitters) == {}
