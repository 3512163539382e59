"""Norms of latents, of the decoder's weights, and of its slope.

B data, K draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genkit import ComponentError, Forward, Loss, normal
from genkit.interfaces import AutoregressiveDecoder, Whole
from genkit.model.conditions import widen


class CodeNorm(Loss):
    """½ ‖z‖², the mean over draws: it keeps latents near 0 (Ghosh et al. 2020, arXiv:1903.12436, equation 11).

    Args:
        config: the weight, the β of the regularized autoencoder.
        shape: any shape.
    """

    class Config(Loss.Config):
        """Options of the norm of latents."""

        name: Literal["code_norm"] = "code_norm"

    def forward(self, forward: Forward) -> Tensor:
        """(B,): half the squared norm of each datum's latents."""
        assert forward.latent is not None
        return forward.latent.z.flatten(2).square().sum(2).mean(0) / 2


class DecoderNorm(Loss):
    """‖θ‖², the squares of all of the decoder's parameters (Ghosh et al. 2020, arXiv:1903.12436, section 3.1).

    It is the L2 form of the decoder's regularization, the RAE-L2: weight decay of the decoder alone.

    Args:
        config: the weight, the λ of the regularized autoencoder.
        shape: any shape.
    """

    over = "batch"

    class Config(Loss.Config):
        """Options of the norm of the decoder."""

        name: Literal["decoder_norm"] = "decoder_norm"

    def attach(self, model: Whole) -> None:
        """Keep the decoder's parameters."""
        self.parameters_of_decoder: Callable[[], Iterator[Tensor]] = model.decoder.parameters

    def forward(self, forward: Forward) -> Tensor:
        """(): the sum of the squares."""
        squares = [parameter.square().sum() for parameter in self.parameters_of_decoder()]
        return torch.stack(squares).sum() if squares else forward.x.new_zeros(())


class DecoderSlope(Loss):
    """‖∂D(z)/∂z‖², the squared Frobenius norm of the decoder's Jacobian at the latents.

    It is the gradient penalty of the RAE-GP (Ghosh et al. 2020, arXiv:1903.12436, section 3.1). One normal direction v
    over the decoder's outputs gives an estimate without bias, E_v ‖vᵀ ∂D/∂z‖² (Hutchinson 1990), which takes one pass
    back.

    Args:
        config: the weight, the λ of the regularized autoencoder.
        shape: any shape.
    """

    expected_failures: ClassVar[Mapping[str, str]] = {
        "batch size": "each datum draws a direction: the expectation alone is free of the size",
        "nats per datum": "the decoder, whose slope it is, takes latents of its own width alone",
    }

    class Config(Loss.Config):
        """Options of the slope of the decoder."""

        name: Literal["decoder_slope"] = "decoder_slope"

    def attach(self, model: Whole) -> None:
        """Keep the decoder; raises ComponentError where it reads more than latents and a condition."""
        decoder = model.decoder
        if decoder.reads or isinstance(decoder, AutoregressiveDecoder):
            raise ComponentError("it takes the slope of decoders that read latents alone; choose another decoder")
        self.decode: Callable[[Tensor], Tensor] = decoder.forward

    def forward(self, forward: Forward) -> Tensor:
        """(B,): the estimate of each datum, at its first draw."""
        assert forward.latent is not None
        with torch.enable_grad():
            z = forward.latent.z[0]
            z = z if z.requires_grad else z.detach().requires_grad_()
            params = self.decode(widen(z, forward.condition))
            direction = normal(*params.shape, batch=0, like=params)
            (slope,) = torch.autograd.grad((params * direction).sum(), z, create_graph=True)
        return slope.flatten(1).square().sum(1)
