"""The transformer as an encoder and as a decoder.

B data, N tokens, D width.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from genkit.interfaces import Decoder, Encoder, Shape, Side
from genkit.settings.base import Settings
from genkit_transformer.layers import Layer, Tokens


class Sizes(Settings):
    """Options that the encoder and the decoder share."""

    width: Annotated[int, Field(ge=1, description="the width of a token, D")] = 64
    heads: Annotated[int, Field(ge=1, description="the number of heads of attention, a divisor of the width")] = 4
    layers: Annotated[int, Field(ge=1, le=100, description="the number of layers")] = 2
    patch: Annotated[int, Field(ge=1, description="the height and width of the patches of images, in pixels")] = 4
    dropout: Annotated[float, Field(ge=0, lt=1, description="the share of values that training leaves out")] = 0.0

    @model_validator(mode="after")
    def _divides(self) -> Any:
        if self.width % self.heads:
            raise PydanticCustomError("heads", f"a width of {self.width} is not divided by {self.heads} heads")
        return self


class Stack(nn.Module):
    """Layers over tokens with their places, behind a first token that is always there: (B, N, D) -> (B, 1 + N, D).

    Args:
        sizes: the options.
        count: the number of tokens, N.
    """

    def __init__(self, sizes: Sizes, count: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(1 + count, sizes.width) / math.sqrt(sizes.width))
        self.layers = nn.ModuleList(Layer(sizes.width, sizes.heads, sizes.dropout) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width)

    def forward(self, first: Tensor, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """The first token (B, 1, D), tokens (B, N, D), perhaps with a mask (B, N) -> (B, 1 + N, D)."""
        tokens = torch.cat([first, tokens], 1) + self.places
        there = None if mask is None else torch.cat([torch.ones_like(mask[:, :1]), mask], 1)[:, None, None] > 0
        for layer in self.layers:
            tokens = layer(tokens, there)
        output: Tensor = self.norm(tokens)
        return output


def _reads_mask(shape: Shape, mask: Side | None) -> bool:
    """Whether series (T, F) have a mask (T,)."""
    return mask is not None and len(shape) == 2 and mask.shape == shape[:1]


class TransformerEncoder(Encoder):
    """Patches of an image, or steps of a series, through layers of attention: x (B, *shape) -> (B, *out_shape).

    The features are those of all tokens, (N, width), or those of one more, which attends to all others (Dosovitskiy et
    al. 2021, arXiv:2010.11929). Places are learned. Steps that are not there, by the mask of series, are attended to by
    none, and have features of 0.

    Args:
        config: the sizes.
        shape: (T, F), or (C, H, W) that patches fill.
        mask: what the mask of series holds; None: all steps are there.

    Example:
        >>> encoder = TransformerEncoder(TransformerEncoder.Config(width=32, patch=7), shape=(1, 28, 28))
        >>> encoder(torch.zeros(5, 1, 28, 28)).shape
        torch.Size([5, 16, 32])
    """

    may_read = ("mask",)

    class Config(Encoder.Config, Sizes):
        """Options of the transformer encoder."""

        name: Literal["transformer"] = "transformer"
        features: Annotated[
            Literal["tokens", "summary"],
            Field(description="tokens: the features of all patches or steps; summary: those of one more token"),
        ] = "tokens"

    def __init__(self, config: Config, shape: Shape, mask: Side | None = None) -> None:
        super().__init__(config, shape)
        self.tokens, self.masked = Tokens("encoder 'transformer'", shape, config.patch), _reads_mask(shape, mask)
        self.first = nn.Linear(self.tokens.size, config.width)
        self.summary = nn.Parameter(torch.randn(1, 1, config.width) / math.sqrt(config.width))
        self.stack = Stack(config, self.tokens.count)
        self.summarizes = config.features == "summary"
        self.out_shape = (config.width,) if self.summarizes else (self.tokens.count, config.width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, *shape), perhaps with a mask (B, T) -> features (B, *out_shape)."""
        tokens = self.first(self.tokens.cut(x))
        summary = self.summary.expand(tokens.shape[0], -1, -1)
        mask = mask if self.masked else None
        states: Tensor = self.stack(summary, tokens, mask)
        if self.summarizes:
            return states[:, 0]
        return states[:, 1:] if mask is None else states[:, 1:] * (mask > 0).to(states.dtype).unsqueeze(2)


class TransformerDecoder(Decoder):
    """z at each place and as a token before them, through layers of attention: z (B, *latent_shape) -> (B, *out_shape).

    One pass computes all patches or steps. Steps that are not there are attended to by none.

    Args:
        config: the sizes.
        latent_shape: any shape.
        out_shape: (T, F), or (C, H, W) that patches fill.
        mask: what the mask of series holds; None: all steps are there.

    Example:
        >>> decoder = TransformerDecoder(TransformerDecoder.Config(width=32), latent_shape=(4,), out_shape=(50, 3))
        >>> decoder(torch.zeros(5, 4)).shape
        torch.Size([5, 50, 3])
    """

    may_read = ("mask",)

    class Config(Decoder.Config, Sizes):
        """Options of the transformer decoder."""

        name: Literal["transformer"] = "transformer"

    def __init__(self, config: Config, latent_shape: Shape, out_shape: Shape, mask: Side | None = None) -> None:
        super().__init__(config, latent_shape, out_shape)
        self.tokens = Tokens("decoder 'transformer'", out_shape, config.patch)
        self.masked = _reads_mask(out_shape, mask)
        self.first = nn.Linear(math.prod(latent_shape), config.width)
        self.stack = Stack(config, self.tokens.count)
        self.last = nn.Linear(config.width, self.tokens.size)

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Tensor:
        """z (B, *latent_shape), perhaps with a mask (B, T) -> parameters of p(x|z) (B, *out_shape)."""
        first = self.first(z.flatten(1)).unsqueeze(1)
        tokens = first.expand(-1, self.tokens.count, -1)
        states = self.stack(first, tokens, mask if self.masked else None)
        return self.tokens.joined(self.last(states[:, 1:]))
