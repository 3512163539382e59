"""Residual networks, against their formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from genkit.errors import ComponentError
from genkit_resnet import ResNetDecoder, ResNetEncoder
from genkit_resnet.networks import Block


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        yield


@pytest.mark.parametrize(("inputs", "channels", "scale"), [(4, 4, 1), (4, 6, 1), (4, 6, 0.5), (6, 4, 2), (4, 4, 2)])
def test_a_block_normalizes_and_activates_before_each_convolution(inputs: int, channels: int, scale: float) -> None:
    block, x = Block(inputs, channels, "silu", scale), torch.randn(3, inputs, 6, 8)
    norm, _, first, second_norm, _, second = block.inner
    stride = 2 if scale < 1 else 1
    wide = x.repeat_interleave(2, 2).repeat_interleave(2, 3) if scale > 1 else x
    inner = F.silu(F.group_norm(wide, norm.num_groups, norm.weight, norm.bias))
    inner = F.conv2d(inner, first.weight, first.bias, stride, 1)
    inner = F.silu(F.group_norm(inner, second_norm.num_groups, second_norm.weight, second_norm.bias))
    inner = F.conv2d(inner, second.weight, second.bias, 1, 1)
    shortcut = block.shortcut
    beside = F.conv2d(wide, shortcut.weight, shortcut.bias, stride) if isinstance(shortcut, nn.Conv2d) else wide
    torch.testing.assert_close(block(x), beside + inner)
    assert block(x).shape == (3, channels, int(6 * scale), int(8 * scale))
    assert isinstance(shortcut, nn.Identity) == (inputs == channels and scale >= 1)


@pytest.mark.parametrize("channels", [(8,), (8, 6), (4, 6, 8)])
def test_encoder_and_decoder_have_mirrored_sizes(channels: tuple[int, ...]) -> None:
    encoder = ResNetEncoder(ResNetEncoder.Config(channels=channels, blocks=2), (3, 28, 20))
    factor = 2 ** (len(channels) - 1)
    assert encoder.out_shape == (channels[-1], 28 // factor, 20 // factor)
    assert encoder(torch.zeros(2, 3, 28, 20)).shape == (2, *encoder.out_shape)
    decoder = ResNetDecoder(ResNetDecoder.Config(channels=channels, blocks=2), encoder.out_shape, (5, 28, 20))
    assert decoder(torch.zeros(2, *encoder.out_shape)).shape == (2, 5, 28, 20)
    assert sum(isinstance(module, Block) for module in encoder.modules()) == 2 * len(channels)


def test_sizes_that_cannot_be_halved_and_data_that_are_no_images_are_refused() -> None:
    message = "halves images 2 times, so that their sizes have to be multiples of 4, and they are 30×28"
    with pytest.raises(ComponentError, match=f"encoder 'resnet' {message}"):
        ResNetEncoder(ResNetEncoder.Config(channels=(4, 4, 4)), (1, 30, 28))
    with pytest.raises(ComponentError, match=f"decoder 'resnet' {message}.*fewer stages"):
        ResNetDecoder(ResNetDecoder.Config(channels=(4, 4, 4)), (2,), (1, 30, 28))
    with pytest.raises(ComponentError, match=r"takes images \(C, H, W\), not data of shape \(12,\)"):
        ResNetEncoder(ResNetEncoder.Config(), (12,))
    for channels in ([], [1]):
        with pytest.raises(ValidationError, match="channels"):
            ResNetEncoder.Config.model_validate({"channels": channels})
