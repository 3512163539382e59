from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from genkit.errors import ComponentError, ConfigError
from genkit.interfaces import Shape
from genkit.model.building import build
from genkit.model.model import Model
from genkit.model.summary import Row, describe
from genkit.runs.opening import as_config, prepare
from genkit_cnn import CNNDecoder, CNNEncoder
from genkit_cnn.layers import Convolution, Deconvolution, Layer

CLASSIC = Path(__file__).parents[2] / "examples" / "vae-deconv.yaml"
SIZES: list[Shape] = [(7,), (8,), (5, 8), (9, 6), (5, 6, 7)]
PLAIN = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
TORCHS_OWN = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def encoder(shape: Shape, *layers: dict[str, Any], **options: Any) -> CNNEncoder:
    return CNNEncoder(CNNEncoder.Config.model_validate({"layers": list(layers), **options}), shape, channels_first=True)


def decoder(latent: Shape, shape: Shape, *layers: dict[str, Any], **options: Any) -> CNNDecoder:
    config = CNNDecoder.Config.model_validate({"layers": list(layers), **options})
    return CNNDecoder(config, latent, shape, channels_first=True)


def vae(shape: Shape, **changes: Any) -> Model:
    parts = {
        "data": "digits",
        "encoder": {"name": "cnn", "layers": [{"channels": 3, "stride": 2}]},
        "sampler": {"name": "gaussian", "latent": 2},
        "decoder": {"name": "cnn", "layers": [{"channels": 3, "stride": 2}, {}]},
        "likelihood": "gaussian",
        "loss": ["reconstruction", "kl"],
    }
    return build(as_config({**parts, **changes}), shape)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def zeroed(module: nn.Module, bias: float = 0.0) -> nn.Module:
    """The module with all weights zero, and each bias this."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.fill_(bias if name.endswith("bias") else 0.0)
    return module


def only(module: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """The one layer of that type."""
    (found,) = (layer for layer in module.modules() if isinstance(layer, kind))
    return found


def length(n: int, kernel: int, stride: int, padding: str) -> int:
    """Of an axis after a convolution."""
    return math.ceil(n / stride) if padding == "same" else (n - kernel) // stride + 1


# Sizes


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_convolution_gives_the_sizes_of_the_formula(sizes: Shape, kernel: int, stride: int, padding: str) -> None:
    owed = tuple(length(n, kernel, stride, padding) for n in sizes)
    layer = Layer(channels=3, kernel=kernel, stride=stride, padding=padding)
    assert Convolution(layer, 2, sizes)(torch.randn(2, 2, *sizes)).shape == (2, 3, *owed)
    made = encoder((2, *sizes), layer.model_dump())
    assert made.out_shape == (3 * math.prod(owed),)
    assert made(torch.randn(2, 2, *sizes)).shape == (2, *made.out_shape)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_decoder_ends_on_the_shape_asked_for(sizes: Shape, kernel: int, stride: int, padding: str) -> None:
    layer = {"kernel": kernel, "stride": stride, "padding": padding}
    made = decoder((2,), (2, *sizes), layer, channels=3)
    assert only(made, nn.Unflatten).unflattened_size == (3, *(length(n, kernel, stride, padding) for n in sizes))
    assert made(torch.randn(2, 2)).shape == (2, 2, *sizes)


LAYERS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"kernel": st.integers(1, 5), "stride": st.integers(1, 3), "padding": st.sampled_from(["same", "valid"])}
        ),
        st.fixed_dictionaries(
            {"kernel": st.integers(1, 5), "padding": st.sampled_from(["same", "valid"]), "kind": st.just("conv")}
        ),
    ),
    min_size=1,
    max_size=3,
)


@given(layers=LAYERS, sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3), channels=st.integers(1, 3))
@settings(deadline=None, database=None, max_examples=80)
def test_the_decoder_ends_on_any_shape_whatever_its_layers(
    layers: list[dict[str, Any]], sizes: list[int], channels: int
) -> None:
    starts = list(sizes)
    for layer in reversed(layers):
        valid = layer["padding"] == "valid"
        if layer.get("kind") == "conv":
            starts = [n + layer["kernel"] - 1 for n in starts] if valid else starts
        elif valid and min(starts) < layer["kernel"]:
            with pytest.raises(ComponentError, match="no size leads to"):
                decoder((2,), (channels, *sizes), *({"channels": 2, **layer} for layer in layers[:-1]), layers[-1])
            return
        else:
            starts = [length(n, layer["kernel"], layer["stride"], layer["padding"]) for n in starts]
    made = decoder((2,), (channels, *sizes), *({"channels": 2, **layer} for layer in layers[:-1]), layers[-1])
    assert only(made, nn.Unflatten).unflattened_size[1:] == tuple(starts)
    assert made(torch.zeros(2, 2)).shape == (2, channels, *sizes)


@given(
    layers=st.lists(
        st.fixed_dictionaries(
            {"channels": st.integers(1, 3), "kernel": st.integers(1, 5), "stride": st.integers(1, 3)}
        ),
        min_size=1,
        max_size=3,
    ),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
)
@settings(deadline=None, database=None, max_examples=50)
def test_the_encoder_keeps_its_word_whatever_its_layers(layers: list[dict[str, Any]], sizes: list[int]) -> None:
    made = encoder((2, *sizes), *layers)
    lengths = sizes
    for layer in layers:
        lengths = [math.ceil(n / layer["stride"]) for n in lengths]
    assert made.out_shape == (layers[-1]["channels"] * math.prod(lengths),)
    assert made(torch.zeros(2, 2, *sizes)).shape == (2, *made.out_shape)


@pytest.mark.parametrize("shape", [(1, 9), (4, 7, 10), (2, 5, 6, 7)])
@pytest.mark.parametrize("latent", [(3,), (2, 2)])
def test_the_first_options_take_signals_images_and_volumes(shape: Shape, latent: Shape) -> None:
    inwards, outwards = CNNEncoder(CNNEncoder.Config(), shape), CNNDecoder(CNNDecoder.Config(), latent, shape)
    assert inwards(torch.randn(2, *shape)).shape == (2, *inwards.out_shape)
    assert outwards(torch.randn(2, *latent)).shape == (2, *shape)


@pytest.mark.parametrize("shape", [(1, 9), (3, 7, 10), (2, 5, 6, 7)])
def test_encoder_and_decoder_fit_into_a_model(shape: Shape) -> None:
    model = vae(shape)
    assert model.reconstruct(torch.randn(3, *shape)).shape == (3, *shape)
    assert sum(row.parameters for row in describe(model)) == count(model)


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 7, 16])
def test_data_may_have_any_number_of_channels(channels: int) -> None:
    made = encoder((channels, 4, 5), {"channels": 2})
    assert made(torch.randn(2, channels, 4, 5)).shape == (2, 2 * 4 * 5)
    assert decoder((2,), (channels, 4, 5), {"channels": 2}, {})(torch.randn(2, 2)).shape == (2, channels, 4, 5)


# Values


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_padding_same_is_that_of_torch_at_stride_1(sizes: Shape, kernel: int) -> None:
    made = Convolution(Layer(channels=3, kernel=kernel), 2, sizes)
    weight, bias = made.conv.weight, made.conv.bias
    x = torch.randn(2, 2, *sizes)
    if kernel % 2:
        reference = TORCHS_OWN[len(sizes)](2, 3, kernel, padding="same")
        reference.load_state_dict(made.conv.state_dict())
        torch.testing.assert_close(made(x), reference(x))
    # one more zero at the end where they cannot be shared out evenly
    padded = F.pad(x, [(kernel - 1) // 2, kernel // 2] * len(sizes))
    torch.testing.assert_close(made(x), PLAIN[len(sizes)](padded, weight, bias))


@pytest.mark.parametrize(
    ("kernel", "stride", "n", "owed"),
    [
        (2, 1, 4, [3.0, 5, 7, 4]),  # 1 2 3 4 | 0
        (3, 1, 4, [3.0, 6, 9, 7]),  # 0 | 1 2 3 4 | 0
        (4, 1, 4, [6.0, 10, 9, 7]),  # 0 | 1 2 3 4 | 0 0
        (2, 2, 4, [3.0, 7]),  # nothing to pad
        (2, 2, 5, [1.0, 5, 9]),  # 0 | 1 2 3 4 5
        (3, 2, 4, [3.0, 9]),  # 0 | 1 2 3 4
        (3, 2, 5, [3.0, 9, 9]),  # 0 | 1 2 3 4 5 | 0
        (5, 3, 4, [6.0, 9]),  # 0 0 | 1 2 3 4 | 0 0
        (1, 3, 5, [1.0, 4]),  # the kernel leaps over values
    ],
)
def test_zeros_are_added_where_padding_same_needs_them(kernel: int, stride: int, n: int, owed: list[float]) -> None:
    made = zeroed(Convolution(Layer(channels=1, kernel=kernel, stride=stride), 1, (n,)))
    nn.init.ones_(made.conv.weight)
    assert made(torch.arange(1.0, n + 1).reshape(1, 1, n)).flatten().tolist() == owed


def test_each_axis_of_an_image_is_padded_for_itself() -> None:
    made = zeroed(Convolution(Layer(channels=1, kernel=3, stride=2), 1, (4, 5)))
    nn.init.ones_(made.conv.weight)
    x = torch.arange(1.0, 5).reshape(4, 1) * torch.arange(1.0, 6)
    owed = torch.tensor([3.0, 9]).reshape(2, 1) * torch.tensor([3.0, 9, 9])  # of the rows, of the columns
    torch.testing.assert_close(made(x.reshape(1, 1, 4, 5))[0, 0], owed)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_padding_valid_is_a_plain_convolution(sizes: Shape, kernel: int, stride: int) -> None:
    made = Convolution(Layer(channels=3, kernel=kernel, stride=stride, padding="valid"), 2, sizes)
    x = torch.randn(2, 2, *sizes)
    torch.testing.assert_close(made(x), PLAIN[len(sizes)](x, made.conv.weight, made.conv.bias, stride))


@pytest.mark.parametrize("starts", [(3,), (4,), (2, 5), (3, 2, 4)])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_deconvolution_without_cropping_is_torchs(starts: Shape, kernel: int, stride: int) -> None:
    sizes = tuple((n - 1) * stride + kernel for n in starts)
    made = Deconvolution(Layer(channels=3, kernel=kernel, stride=stride, padding="valid"), 2, sizes)
    x = torch.randn(2, 2, *starts)
    torch.testing.assert_close(made(x), TRANSPOSED[len(starts)](x, made.conv.weight, made.conv.bias, stride))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_a_deconvolution_of_stride_1_is_torchs_with_the_edges_left_out(sizes: Shape, kernel: int) -> None:
    made = Deconvolution(Layer(channels=3, kernel=kernel), 2, sizes)
    x = torch.randn(2, 2, *sizes)
    owed = TRANSPOSED[len(sizes)](x, made.conv.weight, made.conv.bias)
    for axis, n in enumerate(sizes, start=2):
        owed = owed.narrow(axis, (kernel - 1) // 2, n)
    torch.testing.assert_close(made(x), owed)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "sizes"),
    [
        *((kernel, 1, "same", sizes) for kernel in (1, 2, 3, 4, 5) for sizes in SIZES),
        *((kernel, stride, "valid", sizes) for kernel in (1, 2, 3, 4, 5) for stride in (1, 2, 3) for sizes in SIZES),
        # same, with a stride: lengths for which there are as many zeros at both ends
        (1, 2, "same", (7,)),
        (2, 2, "same", (8, 6)),
        (2, 2, "same", (7, 8)),
        (3, 2, "same", (8, 7)),
        (4, 2, "same", (7, 9)),
        (5, 3, "same", (8, 7)),
        (3, 3, "same", (8,)),
        (3, 2, "same", (7,)),
        (3, 2, "same", (9, 5)),
        (3, 2, "same", (5, 3, 7)),
        (4, 2, "same", (8, 6)),
        (5, 2, "same", (7, 9)),
        (3, 3, "same", (9, 7)),
        (5, 3, "same", (9, 6)),
        (1, 3, "same", (7, 8, 9)),
    ],
)
def test_a_deconvolution_is_the_adjoint_of_the_convolution(
    kernel: int, stride: int, padding: str, sizes: Shape
) -> None:
    options = {"kernel": kernel, "stride": stride, "padding": padding}
    there = Convolution(Layer(channels=3, **options), 2, sizes).double()
    back = Deconvolution(Layer(channels=2, **options), 3, sizes).double()
    zeroed(back)
    with torch.no_grad():
        there.conv.bias.zero_()
        back.conv.weight.copy_(there.conv.weight)
    x, y = torch.randn(1, 2, *sizes).double(), torch.randn(1, 3, *there.sizes).double()
    torch.testing.assert_close((there(x) * y).sum(), (x * back(y)).sum())


def test_an_encoder_is_its_layers_one_after_the_other() -> None:
    made = encoder((2, 5, 6), {"channels": 3, "kernel": 3}, {"channels": 4, "kernel": 3, "stride": 2}, dense=[5])
    (w1, b1, w2, b2, w3, b3), x = made.parameters(), torch.randn(2, 2, 5, 6)
    maps = F.relu(F.conv2d(x, w1, b1, padding=1))
    maps = F.relu(F.conv2d(F.pad(maps, (1, 0, 1, 1)), w2, b2, 2))  # 6 columns need one zero, 5 rows two
    torch.testing.assert_close(made(x), F.relu(F.linear(maps.reshape(2, 4 * 3 * 3), w3, b3)))


def test_a_decoder_is_its_layers_one_after_the_other() -> None:
    layers = ({"channels": 3, "kernel": 3}, {"channels": 2, "kernel": 3, "stride": 2, "padding": "valid"})
    made = decoder((2, 2), (1, 7, 9), *layers, {"kind": "conv"}, dense=[5], channels=4, activation="tanh")
    (w1, b1, w2, b2, w3, b3, w4, b4, w5, b5), z = made.parameters(), torch.randn(3, 2, 2)
    maps = torch.tanh(F.linear(torch.tanh(F.linear(z.reshape(3, 4), w1, b1)), w2, b2)).reshape(3, 4, 3, 4)
    maps = torch.tanh(F.conv_transpose2d(maps, w3, b3, padding=1))
    maps = torch.tanh(F.conv_transpose2d(maps, w4, b4, stride=2))
    torch.testing.assert_close(made(z), F.conv2d(maps, w5, b5, padding=1))


# Normalization


@pytest.mark.parametrize("shape", [(2, 9), (2, 5, 6), (2, 3, 4, 5)])
def test_batch_normalization_makes_each_channel_standard(shape: Shape) -> None:
    made = encoder(shape, {"channels": 3}, normalization="batch", activation="identity")
    maps = made(3 + 2 * torch.randn(8, *shape)).unflatten(1, (3, -1))
    torch.testing.assert_close(maps.mean((0, 2)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(maps.std((0, 2), correction=0), torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("shape", [(2, 9), (2, 5, 6), (2, 3, 4, 5)])
def test_group_normalization_makes_each_datum_standard(shape: Shape) -> None:
    made = encoder(shape, {"channels": 3}, normalization="group", activation="identity")
    features = made(3 + 2 * torch.randn(4, *shape))
    torch.testing.assert_close(features.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.std(1, correction=0), torch.ones(4), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (3, 1), (5, 1), (6, 2), (12, 4), (16, 8), (24, 8), (64, 8)])
def test_groups_share_the_channels_out_evenly(channels: int, groups: int) -> None:
    made = encoder((2, 5, 4), {"channels": channels}, normalization="group", activation="identity")
    x = torch.randn(2, 2, 5, 4)
    maps = F.conv2d(x, made.layers[0].conv.weight, made.layers[0].conv.bias, padding=1)
    torch.testing.assert_close(made(x), F.group_norm(maps, groups).flatten(1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels", range(1, 21))
def test_any_number_of_channels_can_be_put_into_groups(channels: int) -> None:
    made = encoder((1, 4, 4), {"channels": channels}, normalization="group")
    assert made(torch.randn(2, 1, 4, 4)).shape == (2, 16 * channels)
    outwards = decoder((2,), (1, 4, 4), {"channels": channels}, {}, normalization="group")
    assert outwards(torch.randn(2, 2)).shape == (2, 1, 4, 4)


@pytest.mark.parametrize(
    ("normalization", "kind"), [("batch", nn.BatchNorm2d), ("group", nn.GroupNorm), ("none", None)]
)
def test_normalization_stands_between_each_convolution_and_its_activation(
    normalization: str, kind: type[nn.Module] | None
) -> None:
    inwards = encoder((1, 6, 6), {"channels": 4}, {"channels": 2}, normalization=normalization, dense=[3])
    outwards = decoder((2,), (1, 6, 6), {"channels": 4}, {"channels": 2}, {}, normalization=normalization)
    between = [] if kind is None else [kind]
    dense = [nn.Linear, nn.ReLU]
    assert [type(layer) for layer in inwards.layers] == [
        *[Convolution, *between, nn.ReLU] * 2,
        nn.Flatten,
        *dense,
    ]
    assert [type(layer) for layer in outwards.layers] == [
        nn.Flatten,
        *dense,
        nn.Unflatten,
        *[Deconvolution, *between, nn.ReLU] * 2,
        Deconvolution,
    ]


@pytest.mark.parametrize("normalization", ["batch", "group", "none"])
@pytest.mark.parametrize("last", [{}, {"kind": "conv"}, {"stride": 2}, {"kernel": 2}])
@pytest.mark.parametrize(("function", "level"), [("relu", -7.0), ("sigmoid", 9.0)])
def test_nothing_follows_the_decoders_last_layer(
    normalization: str, last: dict[str, Any], function: str, level: float
) -> None:
    layers = ({"channels": 4, "stride": 2}, last)
    made = decoder((2,), (3, 7, 6), *layers, normalization=normalization, activation=function)
    zeroed(made.layers[-1], bias=level)
    assert torch.equal(made(torch.randn(2, 2)), torch.full((2, 3, 7, 6), level))


# Residual layers


@pytest.mark.parametrize("normalization", ["batch", "group", "none"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_a_residual_layer_that_adds_nothing_is_the_identity(sizes: Shape, kernel: int, normalization: str) -> None:
    layer = {"channels": 2, "kernel": kernel, "residual": True}
    x = torch.randn(3, 2, *sizes)
    inwards = zeroed(encoder((2, *sizes), layer, normalization=normalization))
    torch.testing.assert_close(inwards(x), x.flatten(1))
    outwards = decoder((2,), (1, *sizes), layer, {"channels": 1}, normalization=normalization)
    torch.testing.assert_close(zeroed(outwards.layers[-2])(x), x)


def test_a_residual_layer_adds_its_input() -> None:
    made = encoder((2, 5, 6), {"channels": 2, "residual": True}, activation="tanh")
    (weight, bias), x = made.parameters(), torch.randn(3, 2, 5, 6)
    torch.testing.assert_close(made(x), (x + torch.tanh(F.conv2d(x, weight, bias, padding=1))).flatten(1))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"stride": 2}, "not stride 2, padding same and 4 channels"),
        ({"padding": "valid"}, "not stride 1, padding valid and 4 channels"),
        ({"channels": 5}, "not stride 1, padding same and 5 channels"),
    ],
)
def test_a_residual_layer_that_changes_its_input_is_refused(wrong: dict[str, Any], named: str) -> None:
    layer = {"channels": 4, "residual": True, **wrong}
    needed = f"residual layer .* stride 1, padding same and 4 channels, {named}"
    with pytest.raises(ComponentError, match=needed):
        encoder((4, 6, 6), layer)
    with pytest.raises(ComponentError, match=needed):
        decoder((2,), (1, 6, 6), layer, {}, channels=4)


# Dense layers and parameters


@pytest.mark.parametrize("dense", [[], [6], [6, 4]])
def test_dense_layers_stand_between_the_latent_and_the_maps(dense: list[int]) -> None:
    inwards = encoder((1, 4, 5), {"channels": 3}, dense=dense)
    outwards = decoder((2,), (1, 4, 5), {"channels": 3}, {}, dense=dense)
    widths = [layer.out_features for layer in inwards.modules() if isinstance(layer, nn.Linear)]
    assert widths == dense
    assert inwards.out_shape == ((dense or [60])[-1],)
    assert inwards(torch.randn(2, 1, 4, 5)).shape == (2, *inwards.out_shape)
    assert [layer.out_features for layer in outwards.modules() if isinstance(layer, nn.Linear)] == [*dense, 60]


def test_parameters_are_counted_as_by_hand() -> None:
    layers = ({"channels": 3, "kernel": 2}, {"channels": 5, "stride": 2})
    convolutions = (2 * 3 * 2 * 2 + 3) + (3 * 5 * 3 * 3 + 5)
    assert count(encoder((2, 7, 6), *layers)) == convolutions
    assert count(encoder((2, 7, 6), *layers, dense=[8])) == convolutions + (5 * 4 * 3 * 8 + 8)
    assert count(encoder((2, 7, 6), *layers, normalization="batch")) == convolutions + 2 * 3 + 2 * 5
    assert count(encoder((2, 7, 6), *layers, normalization="group")) == convolutions + 2 * 3 + 2 * 5
    assert count(encoder((2, 7), *layers)) == (2 * 3 * 2 + 3) + (3 * 5 * 3 + 5)
    assert count(encoder((2, 7, 6, 5), *layers)) == (2 * 3 * 8 + 3) + (3 * 5 * 27 + 5)


def test_parameters_of_a_decoder_are_counted_as_by_hand() -> None:
    layers = ({"channels": 3, "stride": 2}, {"kind": "conv", "kernel": 2})
    convolutions = (4 * 3 * 9 + 3) + (3 * 2 * 4 + 2)
    first = 4 * 4 * 3  # 4 channels of 4x3 become 7x6
    assert count(decoder((3,), (2, 7, 6), *layers, channels=4)) == convolutions + (3 * first + first)
    dense = (3 * 8 + 8) + (8 * first + first)
    assert count(decoder((3,), (2, 7, 6), *layers, channels=4, dense=[8])) == convolutions + dense
    made = decoder((3,), (2, 7, 6), *layers, channels=4, dense=[8], normalization="batch")
    assert count(made) == convolutions + dense + 2 * 3  # none after the last layer


def test_the_first_map_has_the_channels_of_the_first_layer_unless_told() -> None:
    layers = ({"channels": 5}, {})
    assert only(decoder((2,), (1, 4, 6), *layers), nn.Unflatten).unflattened_size == (5, 4, 6)
    assert only(decoder((2,), (1, 4, 6), *layers, channels=7), nn.Unflatten).unflattened_size == (7, 4, 6)
    assert only(decoder((2,), (3, 4, 6), {}), nn.Unflatten).unflattened_size == (3, 4, 6)


@pytest.mark.parametrize("shape", [(2, 9), (2, 5, 6), (2, 3, 4, 5)])
@pytest.mark.parametrize("normalization", ["batch", "group", "none"])
def test_gradients_reach_every_parameter(shape: Shape, normalization: str) -> None:
    options = {"normalization": normalization, "activation": "tanh", "dense": [6]}
    residual = {"channels": 3, "residual": True}
    inwards = encoder(shape, {"channels": 3, "stride": 2}, residual, **options)
    outwards = decoder((6,), shape, residual, {"channels": 2, "kernel": 2}, {"stride": 2}, **options)
    coder = nn.Sequential(inwards, outwards)
    (coder(torch.randn(16, *shape)) * torch.randn(16, *shape)).sum().backward()
    for name, parameter in coder.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        if normalization == "none" or not name.endswith("conv.bias"):  # normalization takes a bias out again
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("normalization", ["batch", "group", "none"])
@pytest.mark.parametrize("shape", [(2, 9), (1, 5, 6), (3, 3, 4, 5)])
def test_a_datum_by_itself_gives_what_it_gives_among_others(shape: Shape, normalization: str) -> None:
    inwards = encoder(shape, {"channels": 4, "stride": 2}, dense=[5], normalization=normalization)
    outwards = decoder((2,), shape, {"channels": 4, "stride": 2}, {}, normalization=normalization)
    for module, batch in ((inwards, torch.randn(4, *shape)), (outwards, torch.randn(4, 2))):
        assert module(batch[:1]).shape[0] == 1  # in training as well
        module.eval()
        torch.testing.assert_close(module(batch)[2:3], module(batch[2:3]))


# Options


def test_options_come_from_lists_and_mappings() -> None:
    inwards = CNNEncoder.Config.model_validate(
        {"name": "cnn", "layers": [{"channels": 8, "kernel": 5, "stride": 2}, {"channels": 4}], "dense": [16, 8]}
    )
    assert inwards.layers == (Layer(channels=8, kernel=5, stride=2), Layer(channels=4))
    assert inwards.dense == (16, 8)
    outwards = CNNDecoder.Config.model_validate({"layers": [{"channels": 8, "padding": "valid"}, {"kind": "conv"}]})
    assert [(layer.channels, layer.padding, layer.kind) for layer in outwards.layers] == [
        (8, "valid", "deconv"),
        (None, "same", "conv"),
    ]


@pytest.mark.parametrize("config", [CNNEncoder.Config, CNNDecoder.Config])
@pytest.mark.parametrize(
    ("key", "value", "meant"), [("chanels", 3, "channels"), ("kernal", 2, "kernel"), ("strides", 2, "stride")]
)
def test_a_typo_in_a_layer_is_named_with_what_was_meant(config: Any, key: str, value: int, meant: str) -> None:
    with pytest.raises(ValidationError, match=f"unknown key '{key}'; did you mean '{meant}'") as caught:
        config.model_validate({"layers": [{"channels": 4}, {"channels": 4, key: value}]})
    assert ("layers", 1, key) in [detail["loc"] for detail in caught.value.errors()]


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_typo_in_a_layer_of_a_run_says_where_it_is(part: str) -> None:
    with pytest.raises(ConfigError, match=rf"{part}\.layers\[0\].*'chanels'; did you mean 'channels'"):
        vae((1, 8, 8), **{part: {"name": "cnn", "layers": [{"chanels": 3}]}})


@pytest.mark.parametrize("config", [CNNEncoder.Config, CNNDecoder.Config])
@pytest.mark.parametrize(
    "wrong",
    [
        {"layers": []},
        {"layers": [{"channels": 0}]},
        {"layers": [{"channels": 2, "kernel": 0}]},
        {"layers": [{"channels": 2, "stride": 0}]},
        {"layers": [{"channels": 2, "padding": "full"}]},
        {"layers": [{"channels": 2.5}]},
        {"dense": [0]},
        {"normalization": "layer"},
        {"activation": "rleu"},
    ],
)
def test_impossible_options_are_refused(config: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        config.model_validate(wrong)


def test_an_encoders_layer_has_to_say_its_channels() -> None:
    with pytest.raises(ValidationError, match=r"layers\.0\.channels"):
        CNNEncoder.Config.model_validate({"layers": [{"kernel": 3}]})


# What cannot be built


@pytest.mark.parametrize(("sizes", "text"), [((4, 3), "4×3"), ((9, 4), "9×4"), ((4,), "4"), ((6, 4, 7), "6×4×7")])
def test_a_kernel_that_does_not_fit_is_named_with_the_sizes(sizes: Shape, text: str) -> None:
    layer = {"channels": 2, "kernel": 5, "padding": "valid"}
    with pytest.raises(
        ComponentError, match=f"kernel of 5 does not fit into {text}; use a smaller one, or padding: same"
    ):
        encoder((1, *sizes), layer)
    with pytest.raises(ComponentError, match=f"to {text} by a transposed kernel of 5 with padding: valid"):
        decoder((2,), (1, *sizes), layer, {})


def test_a_decoders_layer_without_channels_is_named_unless_it_is_the_last() -> None:
    with pytest.raises(ComponentError, match=r"decoder 'cnn': layers\[1\] has no channels; only the last"):
        decoder((2,), (1, 8, 8), {"channels": 2}, {}, {})


def test_a_last_layer_with_other_channels_than_the_data_is_refused() -> None:
    with pytest.raises(ComponentError, match=r"decoder 'cnn'.* on 4 channels and the data have 3; leave its channels"):
        decoder((2,), (3, 8, 8), {"channels": 2}, {"channels": 4})
    assert decoder((2,), (3, 8, 8), {"channels": 2}, {"channels": 3})(torch.zeros(1, 2)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("stride", [2, 3])
def test_a_plain_convolution_with_a_stride_is_refused_in_a_decoder(stride: int) -> None:
    with pytest.raises(ComponentError, match=r"decoder 'cnn': .*kind conv has stride 1; use kind deconv"):
        decoder((2,), (1, 8, 8), {"channels": 2, "kind": "conv", "stride": stride}, {})


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4, 5)])
def test_data_that_are_no_maps_are_refused(shape: Shape) -> None:
    with pytest.raises(ComponentError, match=r"encoder 'cnn' takes series .*\(C, H, W\).* not data of shape"):
        encoder(shape, {"channels": 2})
    with pytest.raises(ComponentError, match=r"decoder 'cnn' takes series .*\(C, H, W\).* not data of shape"):
        decoder((2,), shape, {"channels": 2}, {})


# The classic table

ROWS = [
    Row("input", "digits", (1, 28, 28), 0),
    Row("encoder.layers.0", "Conv2d", (1, 28, 28), 1 * 1 * 2 * 2 + 1, "ReLU"),
    Row("encoder.layers.2", "Conv2d", (64, 14, 14), 1 * 64 * 2 * 2 + 64, "ReLU"),
    Row("encoder.layers.4", "Conv2d", (64, 14, 14), 64 * 64 * 3 * 3 + 64, "ReLU"),
    Row("encoder.layers.6", "Conv2d", (64, 14, 14), 64 * 64 * 3 * 3 + 64, "ReLU"),
    Row("encoder.layers.8", "Flatten", (12544,), 0),
    Row("encoder.layers.9", "Linear", (128,), 12544 * 128 + 128, "ReLU"),
    Row("sampler.mean", "Linear", (2,), 128 * 2 + 2),
    Row("sampler.log_var", "Linear", (2,), 128 * 2 + 2, parallel=True),
    Row("sampler", "GaussianSampler", (2,), 0),
    Row("decoder.layers.1", "Linear", (128,), 2 * 128 + 128, "ReLU"),
    Row("decoder.layers.3", "Linear", (12544,), 128 * 12544 + 12544, "ReLU"),
    Row("decoder.layers.5", "Unflatten", (64, 14, 14), 0),
    Row("decoder.layers.6", "ConvTranspose2d", (64, 14, 14), 64 * 64 * 3 * 3 + 64, "ReLU"),
    Row("decoder.layers.8", "ConvTranspose2d", (64, 14, 14), 64 * 64 * 3 * 3 + 64, "ReLU"),
    Row("decoder.layers.10", "ConvTranspose2d", (64, 29, 29), 64 * 64 * 3 * 3 + 64, "ReLU"),
    Row("decoder.layers.12", "Conv2d", (1, 28, 28), 64 * 1 * 2 * 2 + 1),
    Row("likelihood", "BernoulliLikelihood", (1, 28, 28), 0),
]


@pytest.fixture(scope="module")
def classic() -> Model:
    return prepare(as_config(CLASSIC))[1]


@pytest.fixture(scope="module")
def table(classic: Model) -> list[Row]:
    return describe(classic)


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[f"{row.name}-{row.type}" for row in ROWS])
def test_the_classic_network_has_the_row(table: list[Row], number: int) -> None:
    assert table[number] == ROWS[number]


def test_the_classic_network_has_no_other_rows(classic: Model, table: list[Row]) -> None:
    assert [row.name for row in table] == [row.name for row in ROWS]
    assert sum(row.parameters for row in table) == count(classic) == 3_410_058


def test_the_classic_network_starts_with_convolutions_of_the_kernels_and_strides_of_its_table(classic: Model) -> None:
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    found = [(layer.kernel_size[0], layer.stride[0]) for layer in classic.modules() if isinstance(layer, kinds)]
    assert found == [(2, 1), (2, 2), (3, 1), (3, 1), (3, 1), (3, 1), (3, 2), (2, 1)]


def test_the_classic_network_reads_and_writes_images(classic: Model) -> None:
    x: Tensor = torch.rand(3, 1, 28, 28)
    assert classic.encode(x).shape == (3, 2)
    assert classic.reconstruct(x).shape == (3, 1, 28, 28)


# What is refused


def test_the_last_layer_of_a_decoder_cannot_be_residual() -> None:
    with pytest.raises(ComponentError, match=r"decoder 'cnn': layers\[1\]: the last layer .* cannot be residual"):
        decoder((2,), (1, 8, 8), {"channels": 3}, {"residual": True})


def test_a_layer_that_does_not_fit_is_named_by_its_number() -> None:
    with pytest.raises(ComponentError, match=r"encoder 'cnn': layers\[1\]: a kernel of 5 does not fit into 2×2"):
        encoder((1, 4, 4), {"channels": 3, "stride": 2}, {"channels": 3, "kernel": 5, "padding": "valid"})


def test_normalization_that_would_leave_nothing_is_refused() -> None:
    with pytest.raises(
        ComponentError, match="batch normalization has nothing to average over in maps of 1×1; use group"
    ):
        encoder((1, 2, 2), {"channels": 3, "stride": 2}, normalization="batch")
    with pytest.raises(ComponentError, match="group normalization of a single value"):
        encoder((1, 2, 2), {"channels": 1, "stride": 2}, normalization="group")


@pytest.mark.parametrize("channels", [2, 4, 6, 8, 16])
def test_group_normalization_keeps_what_tells_data_apart(channels: int) -> None:
    made = encoder((1, 2, 2), {"channels": channels, "stride": 2}, normalization="group", activation="identity")
    features = made(torch.randn(6, 1, 2, 2))
    assert (features.std(0) > 1e-2).any()


def test_a_typo_in_a_layer_is_one_error() -> None:
    with pytest.raises(ValidationError) as caught:
        CNNEncoder.Config(layers=[{"chanels": 3}])
    messages = [error["msg"] for error in caught.value.errors()]
    assert messages == ["Field required", "unknown key 'chanels'; did you mean 'channels'?"]


LAYERS = ({"channels": 64, "kernel": 3}, {"channels": 64, "kernel": 3, "stride": 2}, {"channels": 64, "kernel": 3})


@pytest.mark.parametrize(("init", "least", "most"), [("he", 0.4, 2.5), ("torch", 0.0, 0.2)])
def test_a_signal_keeps_its_size_through_many_layers_of_relu(init: str, least: float, most: float) -> None:
    x, z = torch.randn(64, 1, 28, 28), torch.randn(64, 32)
    features = encoder((1, 28, 28), *LAYERS, *LAYERS, init=init, dense=(128,))(x)
    inner = decoder((32,), (64, 28, 28), *LAYERS, *LAYERS, init=init, dense=(128,))(z)
    assert least < features.square().mean() < most
    assert least < inner.square().mean() / 2 < most  # the last layer has no relu, which would halve the squares


def test_the_usual_initialization_draws_what_it_drew() -> None:
    torch.manual_seed(3)
    usual = encoder((1, 8, 8), LAYERS[0])
    torch.manual_seed(3)
    assert torch.equal(nn.Conv2d(1, 64, 3, 1, 1).weight, only(usual, nn.Conv2d).weight)


# Maps with their places


def encoder_of_maps(shape, **options):
    layers = ({"channels": 4, "stride": 2}, {"channels": 6, "stride": 2})
    return CNNEncoder(CNNEncoder.Config.model_validate({"layers": layers, "maps": True, **options}), shape)


@pytest.mark.parametrize(
    ("shape", "out_shape"), [((3, 31, 17), (6, 8, 5)), ((30, 3), (8, 6)), ((1, 8, 9, 7), (6, 2, 3, 2))]
)
def test_maps_are_the_features_before_they_are_flattened(shape, out_shape):
    torch.manual_seed(0)
    maps, x = encoder_of_maps(shape), torch.randn(2, *shape)
    flat = encoder_of_maps(shape, maps=False)
    flat.load_state_dict(maps.state_dict())
    assert maps.out_shape == out_shape
    features = maps(x)
    assert features.shape == (2, *out_shape)
    in_place = features.transpose(1, 2) if len(shape) == 2 else features
    assert torch.equal(in_place.flatten(1), flat(x))


@pytest.mark.parametrize(("out_shape", "latent"), [((3, 31, 17), (5, 8, 5)), ((30, 3), (8, 5))])
def test_a_decoder_of_maps_keeps_their_places(out_shape, latent):
    torch.manual_seed(0)
    layers = ({"channels": 4, "stride": 2}, {"stride": 2})
    decoder = CNNDecoder(CNNDecoder.Config(layers=layers, maps=True), latent, out_shape)
    z = torch.zeros(1, *latent, requires_grad=True)
    x = decoder(z)
    assert x.shape == (1, *out_shape)
    corner = x[0, 0, 0] if len(out_shape) == 2 else x[0, :, 0, 0]
    corner.sum().backward()
    reached = z.grad[0].ne(0)
    assert reached.any()
    far = reached[4:] if len(out_shape) == 2 else reached[:, 4:]
    assert not far.any()


def test_maps_that_do_not_fit_are_refused():
    layers = ({"channels": 4, "stride": 2}, {"stride": 2})
    with pytest.raises(ComponentError, match=r"first map has the places 8×5, and z of shape \(5, 7, 5\) has 7×5"):
        CNNDecoder(CNNDecoder.Config(layers=layers, maps=True), (5, 7, 5), (3, 31, 17))
    with pytest.raises(ComponentError, match=r"first map has the places 8×5, and z of shape \(5,\) has none"):
        CNNDecoder(CNNDecoder.Config(layers=layers, maps=True), (5,), (3, 31, 17))
    with pytest.raises(ComponentError, match="z is the first map: leave out dense and channels"):
        CNNDecoder(CNNDecoder.Config(layers=layers, maps=True, dense=(3,)), (5, 8, 5), (3, 31, 17))
    with pytest.raises(ComponentError, match="encoder 'cnn': dense layers leave no maps; leave out dense, or maps"):
        encoder_of_maps((3, 31, 17), dense=(3,))
