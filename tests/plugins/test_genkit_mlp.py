from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from genkit.activations import Activation, activation
from genkit.interfaces import Shape
from genkit_mlp import MLPDecoder, MLPEncoder

SHAPES: list[Shape] = [(1,), (7,), (3, 4), (1, 8, 8), (3, 5, 6), (2, 2, 2, 2)]


def encoder(hidden: tuple[int, ...], shape: Shape, function: Activation = "relu") -> MLPEncoder:
    return MLPEncoder(MLPEncoder.Config(hidden=hidden, activation=function), shape)


def decoder(hidden: tuple[int, ...], latent: Shape, shape: Shape, function: Activation = "relu") -> MLPDecoder:
    return MLPDecoder(MLPDecoder.Config(hidden=hidden, activation=function), latent, shape)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("hidden", [(), (6,), (6, 3)])
def test_encoder_turns_data_of_any_shape_into_features(shape: Shape, batch: int, hidden: tuple[int, ...]) -> None:
    made = encoder(hidden, shape)
    assert made.out_shape == (hidden[-1] if hidden else math.prod(shape),)
    assert made(torch.randn(batch, *shape)).shape == (batch, *made.out_shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize(("latent", "hidden"), [((2,), ()), ((1,), (6,)), ((3, 2), (6, 3))])
def test_decoder_ends_on_the_shape_asked_for(shape: Shape, batch: int, latent: Shape, hidden: tuple[int, ...]) -> None:
    assert decoder(hidden, latent, shape)(torch.randn(batch, *latent)).shape == (batch, *shape)


def test_encoder_without_hidden_layers_is_a_flattening() -> None:
    x = torch.arange(12.0).reshape(2, 2, 3)
    made = encoder((), (2, 3))
    assert torch.equal(made(x), torch.tensor([[0.0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]))
    assert count(made) == 0


def test_decoder_without_hidden_layers_is_one_affine_map() -> None:
    made = decoder((), (2,), (1, 2, 2))
    weight, bias = made.parameters()
    z = torch.tensor([[0.5, -2.0]])
    by_hand = [sum(w * v for w, v in zip(row, z[0], strict=True)) + b for row, b in zip(weight, bias, strict=True)]
    torch.testing.assert_close(made(z).flatten(), torch.stack(by_hand))


def test_parameters_are_counted_as_by_hand() -> None:
    assert count(encoder((6, 3), (1, 8, 8))) == (64 * 6 + 6) + (6 * 3 + 3)
    assert count(decoder((3, 6), (2,), (1, 8, 8))) == (2 * 3 + 3) + (3 * 6 + 6) + (6 * 64 + 64)


@pytest.mark.parametrize("name", get_args(Activation))
def test_the_activation_follows_each_hidden_layer_and_nothing_else(name: Activation) -> None:
    function = type(activation(name))
    inwards, outwards = encoder((4, 3), (5,), name).layers, decoder((3, 4), (2,), (5,), name).layers
    hidden = [nn.Linear, function, nn.Linear, function]
    assert [type(layer) for layer in inwards] == [nn.Flatten, *hidden]
    assert [type(layer) for layer in outwards] == [nn.Flatten, *hidden, nn.Linear, nn.Unflatten]


@pytest.mark.parametrize("name", get_args(Activation))
def test_a_hidden_layer_is_activation_of_an_affine_map(name: Activation) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made, x = encoder((4,), (5,), name), torch.randn(6, 5)
    function = getattr(nn.functional, name, lambda v: v)
    linear = made.layers[1]
    torch.testing.assert_close(made(x), function(x @ linear.weight.T + linear.bias))


@pytest.mark.parametrize("name", get_args(Activation))
def test_gradients_reach_every_parameter(name: Activation) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        coder = nn.Sequential(encoder((6, 3), (2, 4), name), decoder((3, 6), (3,), (2, 4), name))
        coder(torch.randn(16, 2, 4)).square().sum().backward()
    for parameter_name, parameter in coder.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("config", [MLPEncoder.Config, MLPDecoder.Config])
@pytest.mark.parametrize("wrong", [{"hidden": [0]}, {"hidden": [4, -1]}, {"hidden": [2.5]}, {"activation": "rleu"}])
def test_impossible_options_are_refused(config: type[MLPEncoder.Config], wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        config.model_validate(wrong)


def test_a_list_of_widths_and_none_are_accepted() -> None:
    assert MLPEncoder.Config.model_validate({"hidden": [4, 2]}).hidden == (4, 2)
    assert MLPDecoder.Config.model_validate({"hidden": []}).hidden == ()


@pytest.mark.parametrize(("name", "kind"), [("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm)])
@pytest.mark.parametrize("made", [MLPEncoder, MLPDecoder])
def test_normalization_stands_between_the_weights_and_the_activation(made: Any, name: str, kind: Any) -> None:
    config = made.Config(hidden=(5, 4), normalization=name, dropout=0.5)
    layers = (made(config, (3,)) if made is MLPEncoder else made(config, (2,), (3,))).layers
    kinds = [type(layer) for layer in layers][1:9]
    assert kinds == [nn.Linear, kind, nn.ReLU, nn.Dropout] * 2


def test_dropout_leaves_units_out_in_training_and_none_in_eval_mode() -> None:
    made = MLPEncoder(MLPEncoder.Config(hidden=(2000,), activation="sigmoid", dropout=0.25), (3,))
    x = torch.randn(4, 3)
    assert float((made(x) == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
    made.eval()
    assert torch.equal(made(x), made(x))
    assert (made(x) > 0).all()


@pytest.mark.parametrize("options", [{"normalization": "group"}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MLPEncoder.Config(**options)


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_atoms_keep_norm_1_through_training(hidden: tuple[int, ...]) -> None:
    decoder = MLPDecoder(MLPDecoder.Config(hidden=hidden, unit_norm=True), (4,), (1, 3, 3))
    optimizer = torch.optim.SGD(decoder.parameters(), lr=0.01)
    layer = next(layer for layer in decoder.layers if isinstance(layer, torch.nn.Linear))
    for _ in range(3):
        before = layer.weight.detach().clone()
        decoder(torch.randn(7, 4)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        assert not torch.equal(layer.weight, before)
        torch.testing.assert_close(layer.weight.norm(dim=0), torch.ones(4))


def test_a_penalty_on_the_code_is_not_escaped_by_larger_weights() -> None:
    norms = {}
    for unit in (False, True):
        torch.manual_seed(0)
        decoder = MLPDecoder(MLPDecoder.Config(hidden=(), unit_norm=unit), (6,), (12,))
        z, x = torch.nn.Parameter(torch.randn(50, 6)), torch.randn(50, 12)
        optimizer = torch.optim.Adam([z, *decoder.parameters()], lr=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            ((decoder(z) - x).square().sum(1) + 5 * z.abs().sum(1)).mean().backward()
            optimizer.step()
        norms[unit] = decoder.layers[1].weight.norm(dim=0).mean().item()
    assert norms[True] == pytest.approx(1)
    assert norms[False] > 2


@pytest.mark.parametrize("function", get_args(Activation))
def test_a_gated_layer_is_that_of_its_values_times_the_sigmoid_of_its_gates(function: Activation) -> None:
    made = MLPEncoder(MLPEncoder.Config(hidden=(4,), activation=function, gated=True), (3,))
    assert made.out_shape == (4,)
    weight, bias = made.parameters()
    assert weight.shape == (8, 3)
    x = torch.randn(5, 3)
    values, gates = x @ weight[:4].T + bias[:4], x @ weight[4:].T + bias[4:]
    torch.testing.assert_close(made(x), activation(function)(values) * torch.sigmoid(gates))
    if function == "identity":
        torch.testing.assert_close(made(x), nn.functional.glu(x @ weight.T + bias))


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
def test_gated_networks_keep_the_widths_that_are_asked_for(normalization: Any) -> None:
    options: dict[str, Any] = {"hidden": (6, 4), "gated": True, "normalization": normalization, "dropout": 0.1}
    made = MLPDecoder(MLPDecoder.Config(**options), (2,), (1, 3, 3))
    assert made(torch.randn(5, 2)).shape == (5, 1, 3, 3)
    assert [layer.out_features for layer in made.layers if isinstance(layer, nn.Linear)] == [12, 8, 9]
    assert [layer.in_features for layer in made.layers if isinstance(layer, nn.Linear)] == [2, 6, 4]
