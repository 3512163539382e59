"""The decoder of a dictionary: atoms of norm 1, and a bias.

B data, D units, d values of a datum.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit.errors import ComponentError
from genkit.interfaces import Decoder, Shape, Whole


class DictionaryDecoder(Decoder):
    """x̂ = Σ_j z_j a_j + b, with atoms a_j of norm 1: z (B, *latent_shape) -> (B, *out_shape).

    An L1 penalty on a code falls with a code that is smaller by any factor, while atoms longer by the same factor give
    the same reconstruction: hence the norm (Olshausen & Field 1997, section 3). A pass reads the atoms at norm 1, so
    that no gradient runs along an atom, and they are brought back to it after each step (Bricken et al. 2023, Towards
    Monosemanticity, appendix). The encoder `centred` subtracts the bias b from the data.

    Args:
        config: there are no options.
        latent_shape: any shape.
        out_shape: any shape.

    Example:
        >>> decoder = DictionaryDecoder(DictionaryDecoder.Config(), latent_shape=(512,), out_shape=(64,))
        >>> decoder(torch.zeros(5, 512)).shape, decoder.directions().norm(dim=1).allclose(torch.ones(512))
        (torch.Size([5, 64]), True)
    """

    class Config(Decoder.Config):
        """The decoder of a dictionary has no options."""

        name: Literal["dictionary"] = "dictionary"

    def __init__(self, config: Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__(config, latent_shape, out_shape)
        self.out_shape = out_shape
        size = math.prod(out_shape)
        self.atoms = nn.Parameter(F.normalize(torch.randn(math.prod(latent_shape), size), dim=1))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, z: Tensor) -> Tensor:
        """z (B, *latent_shape) -> parameters of p(x|z) (B, *out_shape)."""
        return self.of_first(z.flatten(1))

    def directions(self) -> Tensor:
        """The atoms (D, d), each at norm 1."""
        return F.normalize(self.atoms, dim=1)

    def centre(self) -> Tensor:
        """The bias b (d,)."""
        return self.bias

    def of_first(self, code: Tensor) -> Tensor:
        """The output of the first m units alone: code (B, m) -> (B, *out_shape)."""
        return self._output(code, self.directions()[: code.shape[1]], self.bias)

    def frozen(self, code: Tensor) -> Tensor:
        """The output without gradients to atoms and bias: code (B, D) -> (B, *out_shape)."""
        return self._output(code, self.directions().detach(), self.bias.detach())

    def _output(self, code: Tensor, atoms: Tensor, bias: Tensor) -> Tensor:
        params: Tensor = (code @ atoms + bias).unflatten(1, self.out_shape)
        return params

    def stepped(self, step: int, epoch: float) -> None:
        """Bring the atoms back to norm 1."""
        self.atoms.copy_(self.directions())


def dictionary_of(model: Whole, why: str) -> DictionaryDecoder:
    """The decoder of a model; raises ComponentError, with the reason, where it is no dictionary."""
    decoder: Any = model.decoder
    if not isinstance(decoder, DictionaryDecoder):
        raise ComponentError(f"{why}, and the decoder is another: write decoder: dictionary")
    return decoder
