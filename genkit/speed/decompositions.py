"""Cheaper forms of functions in compiled steps on a CPU: the same numbers, as far as float32 holds them, in less time.

The logarithm in softplus takes most of the time of a cross-entropy of logits, and it is of numbers from 1 to 2 alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

SERIES = (2.0000000077, 0.6666632164, 0.4002459523, 0.2796515775, 0.2815777835)
"""2 artanh(s) / s as a polynomial of s² where 0 <= s <= 1/3, interpolated at Chebyshev's points: within 5e-9 of it."""

PLAIN = (1, 20)
"""The beta and the threshold that softplus has unless others are asked for."""


def table() -> dict[Any, Callable[..., Any]]:
    """What stands in a traced graph for which operator, for `torch.fx.experimental.proxy_tensor.make_fx`."""
    aten = torch.ops.aten
    forms: dict[Any, Callable[..., Any]] = {
        aten.softplus.default: softplus,
        aten.softplus_backward.default: softplus_backward,
        aten.log_sigmoid_forward.default: log_sigmoid,
        aten.log_sigmoid_backward.default: log_sigmoid_backward,
    }
    return {operator: _where_meant(form) for operator, form in forms.items()}


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), any shape, as max(x, 0) + log(1 + e) with e = exp(-|x|), which overflows for no x.

    log(1 + e) = 2 artanh(e / (2 + e)) (Abramowitz & Stegun 1964, 4.1.27).
    """
    e = _exponential(x)
    s = e / (2 + e)
    squares, series = s * s, torch.full_like(s, SERIES[-1])
    for coefficient in reversed(SERIES[:-1]):
        series = series * squares + coefficient
    return x.clamp_min(0) + s * series


def softplus_backward(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient times the slope of softplus at x, sigmoid(x), from the same exponential."""
    e = _exponential(x)
    return gradient * (torch.where(x >= 0, 1.0, e) / (1 + e))


def log_sigmoid(x: Tensor) -> tuple[Tensor, Tensor]:
    """log sigmoid(x) = -softplus(-x), any shape; and what torch keeps for its gradient, which here is nothing."""
    return -softplus(-x), x.new_empty(0)


def log_sigmoid_backward(gradient: Tensor, x: Tensor, _: Tensor) -> Tensor:
    """The gradient times sigmoid(-x)."""
    return softplus_backward(gradient, -x)


def _where_meant(form: Callable[..., Any]) -> Callable[..., Any]:
    """The form for float32 on a CPU. On a GPU a logarithm costs nothing beside the memory; all else is torch's."""

    @functools.wraps(form)
    def decomposed(*arguments: Any) -> Any:
        tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
        options = tuple(argument for argument in arguments if not isinstance(argument, Tensor))
        plain = all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in tensors)
        return form(*tensors) if plain and options in ((), PLAIN) else NotImplemented

    return decomposed


def _exponential(x: Tensor) -> Tensor:
    return torch.exp(-x.abs())
