"""The convolutional decoder."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from genkit.activations import activation
from genkit.errors import ComponentError
from genkit.interfaces import Decoder, Shape
from genkit_cnn.layers import (
    Convolution,
    Deconvolution,
    Dense,
    Function,
    Initialization,
    Layer,
    Normalize,
    Shaped,
    StepsFirst,
    before,
    block,
    initialize,
    inverted,
    maps_of,
    naming,
)


class DecoderLayer(Shaped):
    """One convolution of a decoder."""

    channels: Annotated[
        int | None,
        Field(ge=1, description="the number of output channels; null, for the last layer: as many as the data"),
    ] = None
    kind: Annotated[
        Literal["deconv", "conv"],
        Field(description="deconv: a transposed convolution, which can enlarge a map; conv: a plain one"),
    ] = "deconv"


class CNNDecoder(Decoder):
    """Dense layers, a first map, convolutions: z (B, *latent_shape) -> (B, C, n, ...).

    The size of the first map is computed backwards from the size of the data, so that the last layer gives exactly
    that size, odd or not. After the last layer there is neither normalization nor activation. With `maps`, z is the
    first map itself, (C, n, ...), or (T, C) of series.

    Args:
        config: the layers.
        latent_shape: any shape.
        out_shape: (T, F), (C, H, W) or (C, D, H, W), of any sizes; convolutions of series go along T, over F channels.
        channels_first: whether data with two axes are (C, T), as in model files of before series.

    Example:
        >>> import torch
        >>> decoder = CNNDecoder(CNNDecoder.Config(), latent_shape=(2,), out_shape=(3, 31, 17))
        >>> decoder(torch.zeros(5, 2)).shape
        torch.Size([5, 3, 31, 17])
    """

    asks = ("channels_first",)

    class Config(Decoder.Config):
        """Options of the convolutional decoder."""

        name: Literal["cnn"] = "cnn"
        dense: Dense = ()
        layers: Annotated[
            tuple[DecoderLayer, ...],
            Field(min_length=1, description="the convolutions, from the first map to the data"),
        ] = (DecoderLayer(channels=64, stride=2), DecoderLayer(channels=32, stride=2), DecoderLayer())
        channels: Annotated[
            int | None,
            Field(ge=1, description="the number of channels of the first map; null: as many as the first layer"),
        ] = None
        maps: Annotated[
            bool, Field(description="whether z is the first map, with its places, instead of one vector")
        ] = False
        normalization: Normalize = "none"
        activation: Function = "relu"
        init: Initialization = "torch"

    def __init__(self, config: Config, latent_shape: Shape, out_shape: Shape, channels_first: bool = False) -> None:
        super().__init__(config, latent_shape, out_shape)
        out_channels, *ends = maps_of("decoder 'cnn'", out_shape, channels_first)
        layers = _with_channels(config.layers, out_channels)
        sizes = _sizes(config.layers, tuple(ends))
        is_series = len(out_shape) == 2 and not channels_first
        if config.maps:
            channels = _channels_of_map(config, latent_shape, sizes[0], is_series)
            parts: list[nn.Module] = [StepsFirst()] if is_series else []
        else:
            channels = config.channels or layers[0].channels
            parts = _first_map(config, latent_shape, (channels, *sizes[0]))
        for number, layer in enumerate(layers):
            convolution: Convolution | Deconvolution
            with naming(f"decoder 'cnn': layers[{number}]"):
                if config.layers[number].kind == "deconv":
                    convolution = Deconvolution(layer, channels, sizes[number + 1])
                else:
                    convolution = Convolution(layer, channels, sizes[number])
                if number < len(layers) - 1:
                    parts += block(layer, convolution, channels, config.normalization, config.activation)
                elif layer.residual:
                    raise ComponentError("the last layer gives the parameters of p(x|z) and cannot be residual")
                else:
                    parts.append(convolution)
            channels = layer.channels
        if is_series:
            parts.append(StepsFirst())
        self.layers = nn.Sequential(*parts)
        initialize(self.layers, config.init)

    def forward(self, z: Tensor) -> Tensor:
        """z (B, *latent_shape) -> parameters of p(x|z) (B, *out_shape)."""
        params: Tensor = self.layers(z)
        return params


def _first_map(config: CNNDecoder.Config, latent_shape: Shape, shape: Shape) -> list[nn.Module]:
    """The layers that make a map (B, *shape) of z."""
    parts: list[nn.Module] = [nn.Flatten()]
    width = math.prod(latent_shape)
    for wider in (*config.dense, math.prod(shape)):
        parts += [nn.Linear(width, wider), activation(config.activation)]
        width = wider
    return [*parts, nn.Unflatten(1, shape)]


def _channels_of_map(config: CNNDecoder.Config, latent_shape: Shape, sizes: Shape, is_series: bool) -> int:
    """The channels of z that is a map of these sizes; raises ComponentError where it is none, or need not be made."""
    if config.dense or config.channels is not None:
        raise ComponentError("decoder 'cnn': with maps, z is the first map: leave out dense and channels")
    channels, *places = latent_shape[::-1] if is_series else latent_shape
    if tuple(places) != sizes:
        wanted, shown = ("×".join(map(str, each)) or "none" for each in (sizes, places))
        raise ComponentError(
            f"decoder 'cnn': its first map has the places {wanted}, and z of shape {latent_shape} has {shown}; let the "
            "encoder keep its maps (maps: true) and make them as much smaller as the decoder makes them larger"
        )
    return channels


def _with_channels(layers: tuple[DecoderLayer, ...], channels: int) -> list[Layer]:
    """Each layer with its channels; the last has those of the data."""
    *first, last = (layer.channels for layer in layers)
    for number, stated in enumerate(first):
        if stated is None:
            raise ComponentError(
                f"decoder 'cnn': layers[{number}] has no channels; only the last layer may leave them out"
            )
    if last not in (None, channels):
        raise ComponentError(
            f"decoder 'cnn': the last layer ends on {last} channels and the data have {channels}; leave its "
            "channels out, or add a layer after it"
        )
    shared = Shaped.model_fields.keys()
    pairs = zip(layers, [*first, channels], strict=True)
    return [Layer.model_validate({**layer.model_dump(include=set(shared)), "channels": own}) for layer, own in pairs]


def _sizes(layers: tuple[DecoderLayer, ...], end: Shape) -> list[Shape]:
    """The map's sizes before the first layer and after each layer, computed backwards from the last."""
    sizes = [end]
    for number, layer in reversed(list(enumerate(layers))):
        with naming(f"decoder 'cnn': layers[{number}]"):
            if layer.kind == "deconv":
                sizes.append(inverted(layer, sizes[-1]))
            elif layer.stride == 1:
                sizes.append(before(layer, sizes[-1]))
            else:
                raise ComponentError("a layer of kind conv has stride 1; use kind deconv to enlarge a map")
    return sizes[::-1]
