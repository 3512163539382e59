"""The autoregressive decoder: causal dilated convolutions over the steps of a datum, in an order.

B data, T steps, F values of a step, G parameters of a step, C channels.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genkit.errors import ComponentError
from genkit.interfaces import AutoregressiveDecoder, Shape, channel_axis
from genkit_tcn.layers import Blocks, Channels, Dropout, Kernel, causal_blocks, enough_blocks


class CausalDecoder(AutoregressiveDecoder):
    """p(x|z) = Π_t p(x_t|x_<t, z): each step by z and, through causal convolutions, by the steps before it.

    The steps are those of series (T, F), the values of vectors (D,), or the pixels of images (C, H, W) row by row, all
    channels of a pixel at once. In training and in figures all steps are computed in one pass over the data, shifted by
    a step (teacher forcing), and log p(x|z) is exact. To generate, each step is drawn, and read by those after it: a
    pass for each step (van den Oord et al. 2016, arXiv:1609.03499, section 2).

    Such a decoder can model data without z, and then the posterior collapses (Chen et al. 2017, arXiv:1611.02731): few
    `blocks` let a step see few of those before it, and `hidden` hides steps in training (Bowman et al. 2016,
    arXiv:1511.06349), so that the latents have to carry the rest.

    Args:
        config: the blocks.
        latent_shape: any shape.
        out_shape: the shape of the parameters: that of the data, with more features or channels.
        shape: (T, F), (D,) or (C, H, W), the shape of a datum; None: that of the parameters.

    Raises:
        ComponentError: the data have other axes, or the parameters belong to other steps.

    Example:
        >>> decoder = CausalDecoder(CausalDecoder.Config(channels=16), (4,), out_shape=(50, 6), shape=(50, 3))
        >>> decoder(torch.zeros(5, 4), torch.zeros(5, 50, 3)).shape
        torch.Size([5, 50, 6])
    """

    class Config(AutoregressiveDecoder.Config):
        """Options of the autoregressive decoder."""

        name: Literal["autoregressive"] = "autoregressive"
        channels: Channels = 64
        kernel: Kernel = 3
        blocks: Blocks = None
        dropout: Dropout = 0.0
        hidden: Annotated[
            float,
            Field(ge=0, le=1, description="the share of the steps of a datum that training hides from the others"),
        ] = 0.0

    def __init__(self, config: Config, latent_shape: Shape, out_shape: Shape, shape: Shape | None = None) -> None:
        super().__init__(config, latent_shape, out_shape)
        shape = out_shape if shape is None else shape
        if len(shape) > 3:
            raise ComponentError(f"it takes vectors (D,), series (T, F) or images (C, H, W), not data of shape {shape}")
        if _others(shape) != _others(out_shape) or math.prod(out_shape) % _steps(shape):
            raise ComponentError(
                f"it gives parameters that have more features or channels than data of shape {shape}, and not other "
                f"steps, as {out_shape} has"
            )
        self.hidden, self.out_shape, self.steps = config.hidden, out_shape, _steps(shape)
        values, params = math.prod(shape) // self.steps, math.prod(out_shape) // self.steps
        width = config.channels
        self.register_buffer("order", _order(shape), persistent=False)
        self.first = nn.Linear(math.prod(latent_shape), width)
        self.before = nn.Linear(values, width, bias=False)
        self.places = nn.Parameter(torch.randn(self.steps, width) / math.sqrt(width))
        blocks = config.blocks or enough_blocks(config.kernel, self.steps)
        self.layers = causal_blocks(width, width, config.kernel, blocks, config.dropout)
        self.last = nn.Linear(width, params)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:  # type: ignore[override]
        """z (B, *latent_shape), x (B, *shape) -> parameters of p(x_t|x_<t, z) for all steps (B, *out_shape)."""
        steps = x.unsqueeze(2) if x.ndim == 2 else x if x.ndim == 3 else x.flatten(2).transpose(1, 2)  # (B, T, F)
        if self.hidden and self.training:
            steps = steps * (F.dropout(torch.ones_like(steps[..., :1]), self.hidden) > 0)
        shifted = F.pad(steps, (0, 0, 1, 0))[:, :-1]
        states = self.before(shifted) + self.first(z.flatten(1)).unsqueeze(1) + self.places
        params = self.last(self.layers(states.transpose(1, 2)).transpose(1, 2))  # (B, T, G)
        if x.ndim == 3:
            return params  # type: ignore[no-any-return]
        return params.transpose(1, 2).reshape(-1, *self.out_shape)  # type: ignore[no-any-return]


def _steps(shape: Shape) -> int:
    """T: the values of a vector, the steps of series, the pixels of an image."""
    return shape[1] * shape[2] if len(shape) == 3 else shape[0]


def _others(shape: Shape) -> list[int]:
    """What the shapes of data and parameters have in common beside the number of axes: all but features or channels."""
    return [len(shape), *(size for axis, size in enumerate(shape) if axis != channel_axis(shape))]


def _order(shape: Shape) -> Tensor:
    """The step of each value, (*shape)."""
    places = torch.arange(_steps(shape))
    if len(shape) == 1:
        return places
    return (places.unsqueeze(1) if len(shape) == 2 else places.view(shape[1:])).expand(shape).contiguous()
