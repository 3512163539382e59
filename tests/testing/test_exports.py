from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from torch import nn

from genkit.interfaces import Decoder, Encoder, Latent, Sampler
from tests.testing.test_pairs import Narrow
from tests.testing.test_supply import Labelled


class Good(Encoder):
    """A dense layer."""

    class Config(Encoder.Config):
        name: Literal["of-test"] = "of-test"

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.out_shape = (4,)
        self.dense = nn.Linear(math.prod(shape), 4)

    def forward(self, x):
        return self.last(self.dense(self.flat(x)))

    def flat(self, x):
        return x.flatten(1)

    def last(self, features):
        return features


class Length(Good):
    """Flattens by len."""

    def flat(self, x):
        return x.reshape(len(x), -1)


class View(Good):
    """Adds zeros of a length."""

    def last(self, features):
        return features + torch.zeros(len(features), 1, dtype=features.dtype, device=features.device)


class Many(Good):
    """Goes another way for many data."""

    def last(self, features):
        return features if features.shape[0] > 5 else features * 1


class Distances(Good):
    """Gives distances, which torch computes in another way for many data."""

    def last(self, features):
        return torch.cdist(features, self.dense.weight[:, :4])


class Fixed(Good):
    """Makes whole numbers of sizes."""

    def last(self, features):
        return features.reshape(*map(int, features.shape))


class Decides(Good):
    """Decides by values."""

    def last(self, features):
        return features if bool(features.sum() > 1e9) else features + 0


class LongDecoder(Decoder):
    """Views its output by len."""

    class Config(Decoder.Config):
        name: Literal["of-test"] = "of-test"

    def __init__(self, config, latent_shape, out_shape):
        super().__init__(config, latent_shape, out_shape)
        self.out_shape = out_shape
        self.dense = nn.Linear(math.prod(latent_shape), math.prod(out_shape))

    def forward(self, z):
        return self.dense(z.flatten(1)).view(len(z), *self.out_shape)


class LongSampler(Sampler):
    """A point that is viewed by len."""

    class Config(Sampler.Config):
        name: Literal["of-test"] = "of-test"

    has_prior = False

    def __init__(self, config, features):
        super().__init__(config, features)
        self.latent_shape = (3,)
        self.dense = nn.Linear(math.prod(features), 3)

    def forward(self, features, draws=1):
        z = self.dense(features.reshape(len(features), -1))
        return Latent(z.expand(draws, *z.shape), z, None, None)

    def prior(self, n):
        raise NotImplementedError


CHECK = "exported for any batch"


@pytest.mark.parametrize(
    ("component", "said"),
    [
        (Length, r"len() of a tensor is a fixed number in an exported file (test_exports.py:"),
        (View, "take sizes from x.shape[0], and join dimensions by x.flatten(1)"),
        (LongDecoder, "len() of a tensor is a fixed number"),
        (LongSampler, "len() of a tensor is a fixed number"),
        (Many, "it decides by the number of data, and an exported file keeps one way alone"),
        (Distances, "torch.cdist computes in another way for many data (test_exports.py:"),
        (Fixed, "the number of data is a fixed number in it"),
        (Decides, "it decides by values of tensors"),
    ],
)
def test_what_an_export_cannot_take_is_named_with_the_remedy(component, said, failures):
    broken = failures(component, expected={"compiled": "so that what builds on it is checked"})
    assert said in broken[CHECK]


@pytest.mark.parametrize("component", [Good, Labelled])
def test_a_part_that_any_batch_suits_is_exported_side_data_included(component):
    from genkit.testing import checks

    (check,) = (check for check in checks(component) if check.name == CHECK)
    assert check.result().status == "ok"


def test_a_pair_is_exported_together(failures):
    from tests.testing.test_pairs import Pair

    class Long(Pair):
        """Views by len."""

        def forward(self, features, draws=1):
            return super().forward(features.reshape(len(features), 2), draws)

    pair = {"partners": {"sampler": Pair}}
    assert failures(Narrow, **pair) == {}
    assert "cannot be exported" in failures(Narrow, partners={"sampler": Long})["together exported"]
