"""Convolutions for stated sizes: each knows the sizes of its input and its output, and pads accordingly.

C channels, n the length of an axis, k kernel, s stride, p padding. All arithmetic on sizes is that of Dumoulin & Visin
2016 (arXiv:1603.07285): a convolution gives floor((n + 2p - k) / s) + 1, a transposed one (n - 1) s + k - 2p.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genkit.activations import Activation, activation
from genkit.errors import ComponentError
from genkit.interfaces import Shape
from genkit.settings.base import Settings

Normalization = Literal["batch", "group", "none"]
Dense = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...],
    Field(description="the widths of the dense layers between the latent and the maps"),
]
Normalize = Annotated[
    Normalization, Field(description="the normalization after each convolution: batch, group or none")
]
Function = Annotated[Activation, Field(description="the function after each layer")]
Initialization = Annotated[
    Literal["torch", "he"],
    Field(
        description="how the weights start; torch: small, as its layers do by themselves; he: large enough that a "
        "signal keeps its size through many layers of relu"
    ),
]

CONVOLUTIONS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, type[nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
BATCH_NORMS: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class Shaped(Settings):
    """Options of a convolution that decide its sizes."""

    kernel: Annotated[int, Field(ge=1, description="the length of the kernel along each axis")] = 3
    stride: Annotated[int, Field(ge=1, description="the step of the kernel along each axis")] = 1
    padding: Annotated[
        Literal["same", "valid"],
        Field(description="how large the output is; same: n / stride, rounded up; valid: only where the kernel fits"),
    ] = "same"
    residual: Annotated[
        bool, Field(description="whether the layer's input is added to its output; needs stride 1 and as many channels")
    ] = False


class Layer(Shaped):
    """One convolution."""

    channels: Annotated[int, Field(ge=1, description="the number of output channels")]


class Convolution(nn.Module):
    """x (B, C, n, ...) -> (B, channels, m, ...), padded with zeros.

    If an odd number of zeros is needed, the extra zero is at the start for a stride above 1, as with symmetric padding,
    and at the end for a stride of 1, as with torch's padding "same". The transpose below is the adjoint.

    Args:
        layer: the convolution.
        channels: the number of input channels.
        sizes: the input's length along each axis.

    Raises:
        ComponentError: the kernel does not fit.
    """

    def __init__(self, layer: Layer, channels: int, sizes: Shape) -> None:
        super().__init__()
        totals = [_padding(n, layer) for n in sizes]
        self.sizes = tuple(
            (n + total - layer.kernel) // layer.stride + 1 for n, total in zip(sizes, totals, strict=True)
        )
        if min(self.sizes) < 1:
            raise ComponentError(
                f"a kernel of {layer.kernel} does not fit into {_times(sizes)}; use a smaller one, or padding: same"
            )
        uneven = layer.stride == 1 and any(total % 2 for total in totals)
        self.pad = [n for total in reversed(totals) for n in (total // 2, total - total // 2)] if uneven else []
        padding = 0 if uneven else tuple((total + 1) // 2 for total in totals)
        convolution = CONVOLUTIONS[len(sizes)]
        self.conv = convolution(channels, layer.channels, layer.kernel, layer.stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        output: Tensor = self.conv(F.pad(x, self.pad) if self.pad else x)
        return output


class Deconvolution(nn.Module):
    """x (B, C, n, ...) -> (B, channels, m, ...) for stated sizes m: the transpose of a convolution m -> n.

    Args:
        layer: the convolution.
        channels: the number of input channels.
        sizes: the output's length along each axis.

    Raises:
        ComponentError: no input gives these sizes.
    """

    def __init__(self, layer: Layer, channels: int, sizes: Shape) -> None:
        super().__init__()
        self.sizes = sizes
        starts = inverted(layer, sizes)
        excess = [(n - 1) * layer.stride + layer.kernel - m for n, m in zip(starts, sizes, strict=True)]
        padding = [max(0, (total + 1) // 2) for total in excess]
        extra = [2 * p - total for p, total in zip(padding, excess, strict=True)]
        self.crop = layer.stride == 1 and any(extra)
        if self.crop:  # torch has no output padding at stride 1: compute one more at the end, and cut it off
            padding = [total // 2 for total in excess]
            extra = [0 for _ in sizes]
        deconvolution = TRANSPOSED[len(sizes)]
        self.conv = deconvolution(channels, layer.channels, layer.kernel, layer.stride, tuple(padding), tuple(extra))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        output: Tensor = self.conv(x)
        if self.crop:
            for axis, m in enumerate(self.sizes):
                output = output.narrow(axis + 2, 0, m)
        return output


class Residual(nn.Module):
    """x -> x + inner(x)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        added: Tensor = x + self.inner(x)
        return added


def inverted(layer: Shaped, sizes: Shape) -> Shape:
    """The input sizes of a transposed convolution that gives `sizes`: what the plain convolution gives for them.

    Raises:
        ComponentError: no input gives the length of an axis.
    """
    if layer.padding == "same":
        return tuple(-(-m // layer.stride) for m in sizes)
    starts = tuple((m - layer.kernel) // layer.stride + 1 for m in sizes)
    if min(starts) < 1:
        raise ComponentError(
            f"no size leads to {_times(sizes)} by a transposed kernel of {layer.kernel} with padding: valid; use a "
            "smaller one, or padding: same"
        )
    return starts


def before(layer: Shaped, sizes: Shape) -> Shape:
    """The input sizes of a convolution of stride 1 that gives `sizes`."""
    return sizes if layer.padding == "same" else tuple(m + layer.kernel - 1 for m in sizes)


def block(
    layer: Layer,
    convolution: Convolution | Deconvolution,
    channels: int,
    normalization: Normalization,
    function: Activation,
) -> list[nn.Module]:
    """A convolution with what follows it: normalization and activation; with its input added if it is residual."""
    parts: list[nn.Module] = [convolution]
    if normalization != "none":
        parts.append(_normalized(normalization, layer.channels, convolution.sizes))
    parts.append(activation(function))
    if not layer.residual:
        return parts
    if layer.stride != 1 or layer.padding != "same" or channels != layer.channels:
        raise ComponentError(
            f"a residual layer adds its input: it needs stride 1, padding same and {channels} channels, "
            f"not stride {layer.stride}, padding {layer.padding} and {layer.channels} channels"
        )
    return [Residual(nn.Sequential(*parts))]


def _normalized(normalization: Normalization, channels: int, sizes: Shape) -> nn.Module:
    """Batch or group normalization; a group has at least two channels if there are two."""
    if normalization == "batch":
        if math.prod(sizes) == 1:
            raise ComponentError(
                f"batch normalization has nothing to average over in maps of {_times(sizes)}; use group"
            )
        return BATCH_NORMS[len(sizes)](channels)
    if channels * math.prod(sizes) == 1:
        raise ComponentError("group normalization of a single value leaves nothing of it; use none")
    groups = next(g for g in (8, 4, 2, 1) if channels % g == 0 and (channels // g > 1 or g == 1))
    return nn.GroupNorm(groups, channels)


def initialize(network: nn.Module, initialization: str) -> None:
    """Draw the weights of all layers anew, for `he`: N(0, 2 / n), with biases of 0.

    An output is the sum of n products (He et al. 2015, arXiv:1502.01852, equation 10); with a transposed convolution n
    is smaller by the strides, which spread the inputs.
    """
    if initialization == "torch":
        return
    plain: tuple[type[nn.Module], ...] = (nn.Linear, *CONVOLUTIONS.values())
    spreading = tuple(TRANSPOSED.values())
    for layer in network.modules():
        if not isinstance(layer, (*plain, *spreading)):
            continue
        weight: Any = layer.weight
        strides: Any = getattr(layer, "stride", ())
        count = weight[0].numel() if isinstance(layer, plain) else weight[:, 0].numel() / math.prod(strides)
        nn.init.normal_(weight, std=math.sqrt(2 / count))
        nn.init.zeros_(cast(Tensor, layer.bias))


@contextlib.contextmanager
def naming(place: str) -> Iterator[None]:
    """Put the component and the layer before the errors of the block."""
    try:
        yield
    except ComponentError as error:
        raise ComponentError(f"{place}: {error}") from None


def maps_of(who: str, shape: Shape, channels_first: bool) -> Shape:
    """The shape (C, n, ...) of data as convolutions read them: of series (T, F) it is (F, T).

    Args:
        who: the part, for messages.
        shape: the shape of a datum.
        channels_first: whether data with two axes are (C, T) already.

    Raises:
        ComponentError: the data have other than one to three axes beside channels.
    """
    if len(shape) - 1 not in CONVOLUTIONS:
        raise ComponentError(
            f"{who} takes series (T, F), images (C, H, W) or volumes (C, D, H, W), not data of shape {shape}"
        )
    return shape[::-1] if len(shape) == 2 and not channels_first else shape


class StepsFirst(nn.Module):
    """Maps (B, F, T) -> series (B, T, F), and back."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x.transpose(1, 2)


def _padding(n: int, layer: Shaped) -> int:
    """The number of zeros at both ends together, along an axis of length n."""
    if layer.padding == "valid":
        return 0
    return max((-(-n // layer.stride) - 1) * layer.stride + layer.kernel - n, 0)


def _times(sizes: Shape) -> str:
    return "×".join(map(str, sizes))
