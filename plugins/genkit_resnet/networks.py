"""The residual encoder and decoder.

B data, C channels, H height, W width.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from genkit.activations import Activation, activation
from genkit.errors import ComponentError
from genkit.interfaces import Decoder, Encoder, Shape

Channels = Annotated[
    tuple[Annotated[int, Field(ge=2)], ...],
    Field(min_length=1, description="the channels of each stage; all but the first have half the height and width"),
]
Blocks = Annotated[int, Field(ge=1, le=100, description="the number of residual blocks of each stage")]
Function = Annotated[Activation, Field(description="the function before each convolution")]


class Block(nn.Module):
    """x (B, C, H, W) -> shortcut(x) + inner(x), where inner is twice normalization, activation and convolution.

    Args:
        inputs: the input channels.
        channels: the output channels.
        function: the activation.
        scale: 1; ½: the output has half the height and width; 2: twice.
    """

    def __init__(self, inputs: int, channels: int, function: Activation, scale: float = 1) -> None:
        super().__init__()
        stride, enlarge = (2, False) if scale < 1 else (1, scale > 1)
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest") if enlarge else nn.Identity()
        self.inner = nn.Sequential(
            *(_normalized(inputs), activation(function), nn.Conv2d(inputs, channels, 3, stride, 1)),
            *(_normalized(channels), activation(function), nn.Conv2d(channels, channels, 3, 1, 1)),
        )
        same = inputs == channels and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        wide = self.enlarge(x)
        output: Tensor = self.shortcut(wide) + self.inner(wide)
        return output


class ResNetEncoder(Encoder):
    """Stages of residual blocks with pre-activation and group normalization: x (B, C, H, W) -> maps (B, C', H', W').

    He et al. 2016 (arXiv:1603.05027), with group normalization (Wu & He 2018, arXiv:1803.08494), which does not depend
    on the batch. A convolution first; the maps are normalized and activated once more at the end.

    Args:
        config: the stages.
        shape: (C, H, W); each stage but the first halves H and W, which have to be even there.

    Example:
        >>> import torch
        >>> encoder = ResNetEncoder(ResNetEncoder.Config(channels=(8, 16)), shape=(3, 28, 28))
        >>> encoder(torch.zeros(5, 3, 28, 28)).shape
        torch.Size([5, 16, 14, 14])
    """

    class Config(Encoder.Config):
        """Options of the residual encoder."""

        name: Literal["resnet"] = "resnet"
        channels: Channels = (32, 64)
        blocks: Blocks = 1
        activation: Function = "silu"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        height, width = _least_sizes("encoder 'resnet'", shape, len(config.channels) - 1)
        wide = config.channels[0]
        layers: list[nn.Module] = [nn.Conv2d(shape[0], wide, 3, 1, 1)]
        for number, channels in enumerate(config.channels):
            for block in range(config.blocks):
                scale = 0.5 if number and not block else 1
                layers.append(Block(wide, channels, config.activation, scale))
                wide = channels
        self.layers = nn.Sequential(*layers, _normalized(wide), activation(config.activation))
        self.out_shape = (wide, height, width)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) -> maps (B, *out_shape)."""
        maps: Tensor = self.layers(x)
        return maps


class ResNetDecoder(Decoder):
    """The mirror image: z (B, *latent_shape) -> a first map by a dense layer -> stages that double it -> (B, C, H, W).

    Args:
        config: the stages, in the order of the encoder's: the last one is next to z.
        latent_shape: any shape.
        out_shape: (C, H, W); each stage but the first is half as high and wide as the one before.

    Example:
        >>> import torch
        >>> decoder = ResNetDecoder(ResNetDecoder.Config(channels=(8, 16)), latent_shape=(2,), out_shape=(3, 28, 28))
        >>> decoder(torch.zeros(5, 2)).shape
        torch.Size([5, 3, 28, 28])
    """

    class Config(Decoder.Config):
        """Options of the residual decoder."""

        name: Literal["resnet"] = "resnet"
        channels: Channels = (32, 64)
        blocks: Blocks = 1
        activation: Function = "silu"

    def __init__(self, config: Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__(config, latent_shape, out_shape)
        sizes = _least_sizes("decoder 'resnet'", out_shape, len(config.channels) - 1)
        wide = config.channels[-1]
        first = nn.Linear(math.prod(latent_shape), wide * math.prod(sizes))
        layers: list[nn.Module] = [nn.Flatten(), first, nn.Unflatten(1, (wide, *sizes))]
        for number, channels in enumerate(reversed(config.channels)):
            for block in range(config.blocks):
                layers.append(Block(wide, channels, config.activation, 2 if number and not block else 1))
                wide = channels
        last = nn.Conv2d(wide, out_shape[0], 3, 1, 1)
        self.layers = nn.Sequential(*layers, _normalized(wide), activation(config.activation), last)

    def forward(self, z: Tensor) -> Tensor:
        """z (B, *latent_shape) -> parameters of p(x|z) (B, *out_shape)."""
        params: Tensor = self.layers(z)
        return params


def _normalized(channels: int) -> nn.Module:
    """Group normalization, with at least two channels in a group."""
    groups = next(number for number in (8, 4, 2, 1) if channels % number == 0 and (channels > number or number == 1))
    return nn.GroupNorm(groups, channels)


def _least_sizes(who: str, shape: Shape, halvings: int) -> tuple[int, int]:
    """The height and width after some halvings; raises ComponentError where they are odd before the last."""
    if len(shape) != 3:
        raise ComponentError(f"{who} takes images (C, H, W), not data of shape {shape}")
    _, height, width = shape
    factor = 2**halvings
    if height % factor or width % factor:
        raise ComponentError(
            f"{who} halves images {halvings} times, so that their sizes have to be multiples of {factor}, and they are "
            f"{height}×{width}: give `channels` fewer stages, or bring the images to another size"
        )
    return height // factor, width // factor
