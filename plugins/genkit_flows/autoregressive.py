"""Autoregressive flows by zuko.

D numbers of a latent, H numbers of context, T transformations; `*` stands for leading dimensions, which broadcast.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genkit import ComponentError
from genkit_flows.flow import Flow

BINS = 8
"""The number of bins of a spline."""
START = 0.1
"""The factor of the first weights of the last layers, so that a flow starts near the identity."""
STEEPEST = 1e-3
"""The least slope of a transformation; the greatest is its inverse."""


class AutoregressiveFlow(Flow):
    """T transformations z'_i = f(z_i; parameters of z_<i and the context), whose order of i is turned each time.

    `affine` is f(z) = exp(a) z + b, `spline` a monotonic rational-quadratic spline between −5 and 5 (Durkan et al.
    2019, arXiv:1906.04032, section 3.1). The parameters come from masked networks (MADE). One pass goes from noise to
    z; back it takes D of them. With `to_noise` it is the other way around, as in a masked autoregressive flow
    (Papamakarios et al. 2017, arXiv:1705.07057).

    Args:
        size: D.
        form: affine or spline.
        transforms: T.
        hidden: the widths of the hidden layers of each network.
        context: H; 0: the flow has no context.
        to_noise: whether the pass that is taken at once goes from z to noise.

    Raises:
        ComponentError: zuko is not installed.
    """

    def __init__(
        self,
        size: int,
        form: Literal["affine", "spline"],
        transforms: int,
        hidden: Sequence[int],
        context: int = 0,
        to_noise: bool = False,
    ) -> None:
        super().__init__()
        self.context_size, self.to_noise = context, to_noise
        build = _builder(form)
        orders = (torch.arange(size), torch.arange(size).flip(0))
        each = (build(size, context, order=orders[number % 2], hidden_features=hidden) for number in range(transforms))
        self.layers = nn.ModuleList(each)
        with torch.no_grad():
            for layer in self.layers if size > 1 or context else ():  # else it has no network
                for parameter in layer.get_submodule("hyper")[-1].parameters():  # type: ignore[index]
                    parameter.mul_(START)

    def forward(self, noise: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """noise (*, D), context (*, H) or None -> z (*, D) and log|det dz/dnoise| (*)."""
        if not self.to_noise:
            return self._at_once(noise, context)
        z = self._one_by_one(noise, context)
        return z, -self._at_once(z, context)[1]

    def back(self, z: Tensor, context: Tensor | None) -> Tensor:
        """z (*, D), context (*, H) or None -> noise (*, D)."""
        return self.back_with_jacobian(z, context)[0] if self.to_noise else self._one_by_one(z, context)

    def back_with_jacobian(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The noise (*, D) and log|det dnoise/dz| (*)."""
        if self.to_noise:
            return self._at_once(z, context)
        noise = self._one_by_one(z, context)
        return noise, -self._at_once(noise, context)[1]

    def _at_once(self, values: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        total = torch.zeros_like(values[..., 0])
        for layer in self.layers if values.numel() else ():  # zuko takes no empty tensors
            values, one = layer(context).call_and_ladj(values)
            total = total + one
        return values, total

    def _one_by_one(self, values: Tensor, context: Tensor | None) -> Tensor:
        for layer in reversed([*self.layers]) if values.numel() else ():
            values = layer(context).inv(values)
        return values


def _builder(form: Literal["affine", "spline"]) -> Any:
    """What builds one transformation; raises ComponentError where zuko is not installed."""
    try:
        from zuko.flows.autoregressive import MaskedAutoregressiveTransform
        from zuko.transforms import MonotonicAffineTransform, MonotonicRQSTransform
    except ImportError:
        raise ComponentError("this flow needs zuko; pip install 'genkit-torch[flows]'") from None
    if form == "affine":
        return partial(MaskedAutoregressiveTransform, univariate=partial(MonotonicAffineTransform, slope=STEEPEST))
    univariate, shapes = partial(MonotonicRQSTransform, slope=STEEPEST), [(BINS,), (BINS,), (BINS - 1,)]
    return partial(MaskedAutoregressiveTransform, univariate=univariate, shapes=shapes)
