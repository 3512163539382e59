"""Activation functions by name, for the options of encoders, decoders and samplers."""

from collections.abc import Callable
from typing import Literal, get_args

from torch import nn

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid", "identity"]

_CLASSES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
assert set(_CLASSES) == set(get_args(Activation))


def activation(name: Activation) -> nn.Module:
    """A new module that applies the activation function of that name elementwise."""
    return _CLASSES[name]()
