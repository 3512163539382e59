"""Places of codes: features of any shape as the vectors that are quantized, and codes as the latents of a decoder.

B data, n places of a datum, Q codes at each of them, D numbers of a vector.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from genkit.errors import ComponentError
from genkit.interfaces import Shape


class Layout(nn.Module):
    """Features (B, *features) -> vectors (B, n, D), by one linear layer; and vectors in the shape of latents, and back.

    Features (C,) give `count` vectors: latents (n, Q·D). Features (n, C) give a vector for each of the n: latents
    (n, Q·D). Maps (C, H, W) give a vector for each place, as a convolution of 1×1 does: latents (Q·D, H, W).

    Args:
        features: the shape of one datum's features; None: there are no features, and latents are (count, Q·D).
        width: the number D.
        count: the number n for features (C,).
        levels: the number Q.

    Raises:
        ComponentError: a count is given for features that have places of their own.
    """

    def __init__(self, features: Shape | None, width: int, count: int, levels: int = 1) -> None:
        super().__init__()
        axes = 1 if features is None else len(features)
        if axes > 1 and count != 1:
            raise ComponentError(
                f"positions: {count} is for features of one axis; features {features} have places of their own: leave "
                "positions out"
            )
        self.axes, self.width = axes, width
        self.places: Shape = (count,)
        if features is not None and axes > 1:
            self.places = features[:1] if axes == 2 else features[1:]
        self.latent_shape: Shape = (levels * width, *self.places) if axes > 2 else (*self.places, levels * width)
        if features is not None:
            channels = features[1] if axes == 2 else features[0]
            self.head = nn.Linear(channels, count * width)

    @property
    def count(self) -> int:
        """The number n of places."""
        return math.prod(self.places)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, *features) -> vectors (B, n, D)."""
        if self.axes > 2:
            features = features.flatten(2).transpose(1, 2)
        vectors: Tensor = self.head(features)
        return vectors if self.axes > 1 else vectors.unflatten(1, (-1, self.width))

    def shaped(self, codes: Tensor) -> Tensor:
        """Codes (..., n, Q·D) -> latents (..., *latent_shape)."""
        return codes.transpose(-1, -2).unflatten(-1, self.places) if self.axes > 2 else codes

    def codes(self, z: Tensor) -> Tensor:
        """Latents (..., *latent_shape) -> codes (..., n, Q·D)."""
        return z.flatten(-len(self.places)).transpose(-1, -2) if self.axes > 2 else z
