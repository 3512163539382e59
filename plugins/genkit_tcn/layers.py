"""Causal dilated convolutions: the output of a step follows that step and those before it.

B data, T steps, C channels.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

Channels = Annotated[int, Field(ge=1, description="the number of channels of each block")]
Kernel = Annotated[int, Field(ge=2, description="the length of the kernels, in steps")]
Blocks = Annotated[
    int | None,
    Field(
        ge=1,
        le=20,
        description="the number of residual blocks, each of which looks twice as far back as the one before; null: as "
        "many as it takes for the last step to see the first",
    ),
]
Dropout = Annotated[float, Field(ge=0, lt=1, description="the share of each block's units that a training step drops")]


def window(kernel: int, blocks: int) -> int:
    """How many steps a step sees, itself included: two convolutions in each block, with dilations 1, 2, 4, ..."""
    return 1 + 2 * (kernel - 1) * ((1 << blocks) - 1)


def enough_blocks(kernel: int, steps: int) -> int:
    """The least number of blocks whose window has all of T = `steps` steps."""
    return max(1, math.ceil(math.log2(1 + (steps - 1) / (2 * (kernel - 1)))))


class CausalConvolution(nn.Module):
    """x (B, C, T) -> (B, channels, T), with zeros before the first step.

    The weights of each output are a direction times a size, fitted apart (Salimans & Kingma 2016, arXiv:1602.07868,
    equation 2), as in the paper of the blocks below.

    Args:
        inputs: the input channels.
        channels: the output channels.
        kernel: the length of the kernel.
        dilation: the distance between the steps that the kernel reads.
    """

    def __init__(self, inputs: int, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        start = nn.Conv1d(inputs, channels, kernel)
        self.dilation, self.before = dilation, (kernel - 1) * dilation
        self.direction, self.bias = start.weight, start.bias
        self.size = nn.Parameter(torch.linalg.vector_norm(start.weight.detach(), dim=(1, 2), keepdim=True))

    @property
    def weight(self) -> Tensor:
        """The weights (channels, inputs, kernel)."""
        weight: Tensor = self.direction * (
            self.size / torch.linalg.vector_norm(self.direction, dim=(1, 2), keepdim=True)
        )
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.conv1d(F.pad(x, (self.before, 0)), self.weight, self.bias, dilation=self.dilation)


class CausalBlock(nn.Module):
    """Two causal convolutions with ReLU and dropout, and the input added (Bai et al. 2018, arXiv:1803.01271, figure 1).

    Args:
        inputs: the input channels; where they differ from the output's, a 1×1 convolution brings them there.
        channels: the output channels.
        kernel: the length of the kernels.
        dilation: the dilation of both convolutions.
        dropout: the share of units that training leaves out.
    """

    def __init__(self, inputs: int, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for wide in (inputs, channels):
            layers += [CausalConvolution(wide, channels, kernel, dilation), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.shortcut = nn.Identity() if inputs == channels else nn.Conv1d(inputs, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, channels, T)."""
        return F.relu(self.layers(x) + self.shortcut(x))


def causal_blocks(inputs: int, channels: int, kernel: int, blocks: int, dropout: float) -> nn.Sequential:
    """Blocks with dilations 1, 2, 4, ...: (B, inputs, T) -> (B, channels, T)."""
    widths = [inputs, *[channels] * (blocks - 1)]
    return nn.Sequential(*(CausalBlock(wide, channels, kernel, 2**n, dropout) for n, wide in enumerate(widths)))
