from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from torch import nn

from genkit import batch_mean, normal
from genkit.errors import ComponentError
from genkit.interfaces import AutoregressiveDecoder, Decoder, Encoder

Width = Annotated[int, Field(ge=1, description="of the features")]


class Good(Encoder):
    """One dense layer and tanh."""

    class Config(Encoder.Config):
        name: Literal["of-test"] = "of-test"
        width: Width = 5

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.out_shape = (config.width,)
        self.layer = nn.Linear(math.prod(shape), config.width)

    def forward(self, x):
        return torch.tanh(self.layer(x.flatten(1)))


class GoodDecoder(Decoder):
    """One dense layer."""

    class Config(Decoder.Config):
        name: Literal["of-test"] = "of-test"

    def __init__(self, config, latent_shape, out_shape):
        super().__init__(config, latent_shape, out_shape)
        self.out_shape = out_shape
        self.layer = nn.Linear(math.prod(latent_shape), math.prod(out_shape))

    def forward(self, z):
        return self.layer(z.flatten(1)).unflatten(1, self.out_shape)


class Leaks(Good):
    """Normalizes by the mean of the batch."""

    def forward(self, x):
        return super().forward(x - x.mean(0))


class Counts(Good):
    """Adds the place in the batch."""

    def forward(self, x):
        return super().forward(x) + torch.arange(len(x), device=x.device).unsqueeze(1)


class DropsInEval(Good):
    """Drops features in eval mode too."""

    def forward(self, x):
        return F.dropout(super().forward(x), 0.5)


class Remembers(Good):
    """Counts its calls in a buffer."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class Unused(Good):
    """Has a layer that it does not use."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.more = nn.Linear(2, 2)


class CutOff(Good):
    """Has a layer that no gradient reaches."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.more = nn.Linear(config.width, config.width)

    def forward(self, x):
        return self.more(super().forward(x).detach())


class HalfCutOff(CutOff):
    """Has one of two paths cut."""

    def forward(self, x):
        first = Good.forward(self, x)
        return first + self.more(first.detach())


class Deaf(GoodDecoder):
    """Sends no gradient to the encoder."""

    def forward(self, z):
        return super().forward(z.detach())


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class WrongBackward(Good):
    """Has a backward of its own that is wrong."""

    def forward(self, x):
        return Doubled.apply(super().forward(x))


class Single(Good):
    """Computes in float32, whatever comes."""

    def forward(self, x):
        return super().forward(x.float())


class Narrow(Good):
    """Gives fewer features than it says."""

    def forward(self, x):
        return super().forward(x)[:, 1:]


class Squeezes(Good):
    """Loses the batch of one."""

    def forward(self, x):
        return super().forward(x).squeeze(0)


class FailsAlone(Good):
    """Cannot normalize a single datum."""

    def forward(self, x):
        return super().forward(F.batch_norm(x.flatten(1), None, None, training=True))


class Listed(Good):
    """Says its shape as a list."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.out_shape = [config.width]


class Infinite(Good):
    """Divides by zero."""

    def forward(self, x):
        return super().forward(x) / torch.zeros((), device=x.device)


class Unsaved(Good):
    """Draws a number that is not saved."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.scale = torch.rand(())

    def forward(self, x):
        return super().forward(x) * self.scale


class NotPersistent(Good):
    """Draws a buffer that is not saved."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.register_buffer("scale", torch.rand(()), persistent=False)

    def forward(self, x):
        return super().forward(x) * self.scale


class PlainList(Good):
    """Keeps layers in a list."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.layers = [nn.Linear(config.width, config.width)]

    def forward(self, x):
        return self.layers[0](super().forward(x))


class Decides(Good):
    """Looks at a value."""

    def forward(self, x):
        if self.layer.weight.norm().item() > 1e9:
            return x
        return super().forward(x)


class InPlace(Good):
    """Changes what comes in."""

    def forward(self, x):
        x += 1
        return super().forward(x)


class Views(Good):
    """Takes it that data lie in one piece."""

    def forward(self, x):
        return torch.tanh(self.layer(x.view(x.shape[0], -1)))


class OnTheCPU(Good):
    """Makes a tensor on the CPU."""

    def forward(self, x):
        return super().forward(x) + torch.ones(self.out_shape)


class TakesNothing(Good):
    """Refuses all data."""

    def __init__(self, config, shape):
        raise ComponentError("only audio")


class Breaks(Good):
    """Fails for what it does not take."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        if len(shape) == 1:
            raise IndexError("no channels")


class SeedsItself(Good):
    """Has the same weights in every run."""

    def __init__(self, config, shape):
        torch.manual_seed(0)
        super().__init__(config, shape)


class Standardizes(Good):
    """Divides a datum by its spread, which a black image has not."""

    def forward(self, x):
        return super().forward(x / x.flatten(1).std(1).view(-1, *[1] * (x.ndim - 1)))


class HalfBlind(Good):
    """Reads the first half of a datum."""

    def forward(self, x):
        kept = torch.arange(x[0].numel(), device=x.device) < x[0].numel() // 2
        return super().forward(x.flatten(1) * kept)


class InPieces(Good):
    """Takes large batches otherwise."""

    def forward(self, x):
        return super().forward(x - x.mean(0) if len(x) > 8 else x)


class RootOfTheVariance(Good):
    """Has an infinite slope where a datum has no spread."""

    def forward(self, x):
        spread = self.layer(x.flatten(1)).mul(x.flatten(1).var(1, keepdim=True)).square().sum(1, keepdim=True).sqrt()
        return super().forward(x) / (spread + 1)


class RollsInTraining(Good):
    """Gives each datum what another is owed."""

    def forward(self, x):
        features = super().forward(x)
        return features.roll(1, 0) if self.training else features


class NearOnly(GoodDecoder):
    """Has no values for z further off."""

    def forward(self, z):
        return super().forward(z) * (16 - z.flatten(1)[:, :1].square()).sqrt().view(-1, *[1] * len(self.out_shape))


class Normalized(Good):
    """Normalizes over the batch, and drops."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.after = nn.Sequential(nn.BatchNorm1d(config.width), nn.Dropout(0.2))

    def forward(self, x):
        return self.after(super().forward(x))


class TurnsOff(Good):
    """Ends training for good."""

    def forward(self, x):
        self.eval()
        return super().forward(x)


class HalfMute(GoodDecoder):
    """Gives half of the values as zeros."""

    def forward(self, z):
        values = self.layer(z.flatten(1))
        kept = torch.arange(values.shape[1], device=z.device) < values.shape[1] // 2
        return (values * kept).unflatten(1, self.out_shape)


class Recurrent(Good):
    """Reads the rows of a datum in turn: one row alone needs no way from step to step."""

    expected_failures: ClassVar = {"compiled": "torch.compile does not trace recurrent layers"}

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.layer = nn.LSTM(shape[-1], config.width, batch_first=True)

    def forward(self, x):
        return self.layer(x.flatten(1, -2) if x.ndim > 2 else x.unsqueeze(1))[0][:, -1]


class Undocumented(Good):
    pass


class Undescribed(Good):
    """Does not say what its option is."""

    class Config(Encoder.Config):
        name: Literal["of-test"] = "of-test"
        width: int = 5


class AsPath(Good):
    """Has an option that YAML cannot bring back."""

    class Config(Good.Config):
        file: Annotated[Path, Field(description="a file")] = Path("here")


class TakesAnyKey(Good):
    """Takes options that it does not have."""

    class Config(Good.Config):
        model_config = ConfigDict(extra="allow")


EVERY, INPUT = "gradients reach every parameter", "gradients reach the input"


class Noisy(Good):
    """Adds noise by torch in training, which is the same in every process for other data."""

    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x) if self.training else x)


class NoisyTogether(Good):
    """The same with the noise of the whole batch."""

    def forward(self, x):
        return super().forward(x + 0.1 * normal(*x.shape, batch=0, like=x) if self.training else x)


class NoisyDecoder(GoodDecoder):
    """Adds noise by torch in training."""

    def forward(self, z):
        return super().forward(z + 0.1 * torch.rand_like(z) if self.training else z)


class Whitens(Good):
    """Divides by the spread of its own rows in training."""

    def forward(self, x):
        features = super().forward(x)
        return features / (features.var(0, correction=0) + 0.1).sqrt() if self.training else features


class WhitensTogether(Good):
    """Divides by the spread of the whole batch in training."""

    def forward(self, x):
        features = super().forward(x)
        if not self.training:
            return features
        return features / (batch_mean((features - batch_mean(features)).square()) + 0.1).sqrt()


class DropsAndNormalizes(Good):
    """Has batch normalization, and dropout in each of its forms."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.normal = nn.BatchNorm1d(config.width)
        self.drop = nn.Dropout(0.5)
        self.attention = nn.MultiheadAttention(config.width, 1, dropout=0.5, batch_first=True)

    def forward(self, x):
        features = F.dropout(self.drop(self.normal(super().forward(x))), 0.5, self.training)
        row = features.unsqueeze(1)
        row = F.scaled_dot_product_attention(row, row, row, dropout_p=0.5 if self.training else 0.0)
        return features + self.attention(row, row, row)[0].squeeze(1)


class DropsBetweenSteps(Good):
    """Recurrent, with dropout between its layers."""

    expected_failures: ClassVar = {"compiled": "torch.compile does not trace the recurrent layers"}

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.rnn = nn.GRU(1, config.width, num_layers=2, dropout=0.5, batch_first=True)

    def forward(self, x):
        return self.rnn(super().forward(x)[:, :, None])[1][-1]


RIGHT = [
    Good,
    GoodDecoder,
    Recurrent,
    Normalized,
    NoisyTogether,
    WhitensTogether,
    DropsAndNormalizes,
    DropsBetweenSteps,
]
WRONG = [
    (Noisy, ["shared batch"], "genkit.normal(*x.shape, batch=0, like=x), not from torch.randn and its like"),
    (NoisyDecoder, ["shared batch"], "genkit.normal(*x.shape, batch=0, like=x), not from torch.randn and its like"),
    (Whitens, ["shared batch"], "take means over a batch from genkit.batch_mean"),
    (Leaks, ["batch independence"], "computed over the batch"),
    (Counts, ["batch independence"], "computed over the batch"),
    (DropsInEval, ["eval determinism"], "leave noise and dropout to training"),
    (Remembers, ["eval determinism"], "in eval mode it changes its state (calls)"),
    (Unused, [EVERY], "no gradient reaches more.bias, more.weight"),
    (CutOff, [EVERY, INPUT], "no gradient reaches layer.bias, layer.weight"),
    (HalfCutOff, ["gradients"], "part of the way is cut off (detach"),
    (Deaf, [INPUT], "no gradient goes back through it to its input"),
    (WrongBackward, ["gradients"], "a backward of its own is wrong"),
    (Single, ["gradients"], "in float64 it fails"),
    (Narrow, ["shapes"], "for 1 data of shape (1, 8, 8) it gives (1, 4), and must give (1, 5)"),
    (
        Squeezes,
        ["shapes"],
        "(1, 8, 8) it gives (5,), and must give (1, 5), its out_shape after the batch; mind squeeze()",
    ),
    (FailsAlone, ["shapes"], "in eval mode it fails for 1 data of shape (1, 8, 8): ValueError: Expected more than 1"),
    (Listed, ["shapes"], "its out_shape is [5]: set it in __init__ to a tuple"),
    (Infinite, ["shapes"], "values that are not finite"),
    (Unsaved, ["state"], "scale: a tensor or a layer in a plain attribute is not saved"),
    (NotPersistent, ["state"], "another one with the saved state gives other values"),
    (PlainList, ["gradients", "second device", "state"], "in float64 it fails"),
    (Decides, ["compiled"], "cannot make one graph of it"),
    (InPlace, ["input is kept"], "it changes its input in place"),
    (Views, ["strides"], "use flatten or reshape, not view"),
    (OnTheCPU, ["second device"], "device=x.device"),
    (TakesNothing, ["shapes"], "takes data of none of the shapes tried; say which it takes"),
    (Breaks, ["shapes"], "it cannot be built for (12,): IndexError: no channels (test_networks.py:"),
    (SeedsItself, ["seeds"], "leave the seed to the run"),
    (Standardizes, ["shapes"], "for data that are all 0 it gives values that are not finite"),
    (HalfBlind, [INPUT], "only 32 of the 64 values of a datum of shape (1, 8, 8) have a part in its output"),
    (InPieces, ["batch independence"], "computed over the batch"),
    (RootOfTheVariance, ["shapes"], "its gradients are not finite: the slope of a root at 0 is infinite"),
    (RollsInTraining, ["order in training"], "mixes data"),
    (NearOnly, ["shapes"], "for z of 5 standard deviations it gives values that are not finite"),
    (TurnsOff, ["shapes"], "its forward changes its mode"),
    (HalfMute, [INPUT], "values that it gives change with z; the rest is constant"),
    (Undocumented, ["documentation"], "the class Undocumented has no docstring"),
    (Undescribed, ["documentation"], "option 'width' has no description; write width: Annotated["),
    (AsPath, ["config round trip"], "cannot be read again from JSON"),
    (TakesAnyKey, ["strict options"], "leave extra='forbid' as it is"),
]


@pytest.mark.parametrize("component", RIGHT)
def test_a_right_network_passes(failures, component):
    assert failures(component) == {}


@pytest.mark.parametrize(("component", "caught", "words"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_network_is_caught_by_the_check_that_should(failures, component, caught, words):
    found = failures(component)
    assert sorted(found) == caught
    assert words in found[caught[0]]


def test_recurrent_layers_are_said_to_be_marked(failures):
    class Unmarked(Recurrent):
        """Says nothing of it."""

        expected_failures: ClassVar = {}

    assert 'mark it, expected_failures = {"compiled": ' in failures(Unmarked)["compiled"]


def test_a_given_shape_has_to_be_taken(failures):
    assert "it refuses the shape (12,): only audio" in failures(TakesNothing, shapes=[(12,)])["shapes"]


class OnlyLarge(Good):
    """Takes large images alone."""

    def __init__(self, config, shape):
        if len(shape) < 3 or shape[-1] < 64:
            raise ComponentError("images of 64x64 at least")
        super().__init__(config, shape)


def test_larger_data_are_tried_where_none_of_the_small_are_taken(failures):
    assert failures(OnlyLarge) == {}


class Leaking(AutoregressiveDecoder):
    """It reads the values that it is to give."""

    class Config(AutoregressiveDecoder.Config):
        name: Literal["of-test"] = "of-test"

    def __init__(self, config, latent_shape, out_shape, shape=None):
        super().__init__(config, latent_shape, out_shape)
        self.out_shape, self.steps = out_shape, math.prod(out_shape)
        self.register_buffer("order", torch.arange(self.steps).view(out_shape), persistent=False)
        self.layer = nn.Linear(math.prod(latent_shape), self.steps)

    def forward(self, z, x):
        return self.layer(z.flatten(1)).unflatten(1, self.out_shape) + self.read(x.flatten(1)).unflatten(1, x.shape[1:])

    def read(self, x):
        return x


class Shifting(Leaking):
    """It reads the value before."""

    def read(self, x):
        return F.pad(x, (1, 0))[:, :-1]


class Blind(Leaking):
    """It reads no value."""

    def read(self, x):
        return torch.zeros_like(x)


class OutOfOrder(Shifting):
    """Its order is another than that in which it reads."""

    def __init__(self, config, latent_shape, out_shape, shape=None):
        super().__init__(config, latent_shape, out_shape)
        self.steps += 1


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Leaking, "change with values of x at that step or later"),
        (Blind, "follows z alone"),
        (OutOfOrder, "must give a step, from 0 to steps - 1"),
        (Shifting, None),
    ],
)
def test_a_decoder_reads_earlier_steps_alone(component, message, failures):
    found = failures(component, without={"compiled", "exported for any batch", "gradients"})
    assert [*found] == ([] if message is None else ["earlier steps alone"])
    assert message is None or message in found["earlier steps alone"]
