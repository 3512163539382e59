"""Vector quantization.

B data, K codes, n places of a datum, D numbers of a vector.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from genkit import Shape
from genkit_codes.codebook import Codebook, LearnedConfig, handed_on
from genkit_codes.quantizer import Quantized, Quantizer


class VQSampler(Quantizer):
    """z is the nearest code of a codebook that is learned (van den Oord et al. 2017, arXiv:1711.00937).

    It goes with the term `commitment`, which keeps the vectors near their codes.

    Args:
        config: the number of codes, their dimensions, and how they are learned.
        features: (C,), (n, C) or maps (C, H, W); None: only the prior.

    Example:
        >>> sampler = VQSampler(VQSampler.Config(size=8, latent=4), features=(32, 7, 7))
        >>> latent = sampler(torch.randn(5, 32, 7, 7))
        >>> latent.z.shape, latent.extra["indices"].shape
        (torch.Size([1, 5, 4, 7, 7]), torch.Size([5, 7, 7]))
    """

    checked_with = {"partners": {"loss": "commitment"}}  # noqa: RUF012
    expected_failures = {"gradients": "straight-through: the gradient is not the derivative"}  # noqa: RUF012

    class Config(LearnedConfig):
        """Options of vector quantization."""

        name: Literal["vq"] = "vq"

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features, config.latent, config.size)
        self.codebook = Codebook(config)

    def stepped(self, step: int, epoch: float) -> None:
        """Let the codebook follow the vectors of the step."""
        self.codebook.update()

    def quantize(self, vectors: Tensor) -> Quantized:
        """The nearest codes; `extra` has vectors and codes (B, n, D), and scores (B, n, K).

        Codes that are learned by gradients are there as learned_codes too.
        """
        scores = self.codebook.scores(vectors)
        indices = scores.argmax(-1)
        if self.training:
            self.codebook.observe(vectors, indices)
        codes = self.look_up(indices)
        return Quantized(codes, indices, vectors, {**handed_on(self.codebook, vectors, codes), "scores": scores})

    def nearest(self, vectors: Tensor) -> Tensor:
        """The index of the nearest code."""
        return self.codebook.nearest(vectors)

    def look_up(self, indices: Tensor) -> Tensor:
        """The codes with these indices."""
        return self.codebook.codes[indices]
