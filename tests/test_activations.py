from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch

from genkit.activations import Activation, activation

FORMULAS: dict[str, Callable[[float], float]] = {
    "relu": lambda v: max(v, 0.0),
    "leaky_relu": lambda v: v if v > 0 else 0.01 * v,
    "elu": lambda v: v if v > 0 else math.expm1(v),
    "gelu": lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))),
    "silu": lambda v: v / (1 + math.exp(-v)),
    "softplus": lambda v: math.log1p(math.exp(v)),
    "tanh": math.tanh,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "identity": lambda v: v,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_each_activation_is_the_function_of_its_name(name: Activation) -> None:
    x = torch.linspace(-4, 4, 17, dtype=torch.float64)
    expected = torch.tensor([FORMULAS[name](value) for value in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(activation(name)(x), expected)


def test_every_name_is_tested_here() -> None:
    assert set(FORMULAS) == set(get_args(Activation))


@pytest.mark.parametrize("name", FORMULAS)
def test_activations_keep_the_shape_and_hold_no_parameters(name: Activation) -> None:
    module = activation(name)
    assert module(torch.zeros(2, 3, 4)).shape == (2, 3, 4)
    assert not list(module.parameters())


def test_each_call_gives_a_module_of_its_own() -> None:
    assert activation("relu") is not activation("relu")
