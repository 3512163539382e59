from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from genkit.errors import ComponentError
from genkit.interfaces import Shape, Side
from genkit.runs.opening import as_config, prepare
from genkit.training.epochs import fit
from genkit.training.seeds import own_random_state
from genkit.training.trainer import Trainer
from genkit_rnn import RNNDecoder, RNNEncoder
from genkit_rnn.sequences import from_sequence, steps_and_features, to_sequence

SHAPES: list[Shape] = [(6, 3), (1, 3), (6, 1), (7,), (1,), (1, 5, 4), (3, 4, 5), (2, 1, 3)]
TORCHS_OWN = {"lstm": nn.LSTM, "gru": nn.GRU}
GATES = {"lstm": 4, "gru": 3}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def encoder(shape: Shape, **options: Any) -> RNNEncoder:
    return RNNEncoder(RNNEncoder.Config.model_validate({"hidden": 4, **options}), shape)


def decoder(latent: Shape, shape: Shape, **options: Any) -> RNNDecoder:
    return RNNDecoder(RNNDecoder.Config.model_validate({"hidden": 4, **options}), latent, shape)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def steps(x: Tensor) -> Tensor:
    """x (B, *shape) -> (B, T, F), step by step."""
    if x.ndim == 4:
        return torch.stack([x[:, :, row, :].reshape(len(x), -1) for row in range(x.shape[2])], 1)
    return torch.stack([x[:, step].reshape(len(x), -1) for step in range(x.shape[1])], 1)


# Shapes


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("bidirectional", "width"), [(False, 4), (True, 8)])
@pytest.mark.parametrize("batch", [1, 3])
def test_encoder_turns_sequences_into_features(
    shape: Shape, cell: str, layers: int, bidirectional: bool, width: int, batch: int
) -> None:
    made = encoder(shape, cell=cell, layers=layers, bidirectional=bidirectional)
    assert made.out_shape == (width,)
    assert made(torch.randn(batch, *shape)).shape == (batch, width)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("latent", [(2,), (3, 2)])
@pytest.mark.parametrize("batch", [1, 3])
def test_decoder_ends_on_the_shape_asked_for(shape: Shape, cell: str, layers: int, latent: Shape, batch: int) -> None:
    made = decoder(latent, shape, cell=cell, layers=layers)
    assert made(torch.randn(batch, *latent)).shape == (batch, *shape)


@given(length=st.integers(1, 60), features=st.integers(1, 4), cell=st.sampled_from(["lstm", "gru"]))
@settings(deadline=None, database=None, max_examples=30)
def test_decoder_unrolls_to_the_length_of_the_data(length: int, features: int, cell: str) -> None:
    for shape in [(length,), (length, features), (2, length, features)]:
        assert decoder((2,), shape, cell=cell)(torch.zeros(2, 2)).shape == (2, *shape)


# Data as sequences


@pytest.mark.parametrize("shape", SHAPES)
def test_data_are_read_step_by_step_and_images_row_by_row(shape: Shape) -> None:
    x = torch.randn(2, *shape)
    sequence = to_sequence(x)
    assert sequence.shape == (2, *steps_and_features("test", shape))
    assert torch.equal(sequence, steps(x))


def test_a_row_of_an_image_has_one_channel_after_the_other() -> None:
    image = torch.tensor([[[1.0, 2, 3], [4, 5, 6]], [[-1, -2, -3], [-4, -5, -6]]])
    assert to_sequence(image[None])[0].tolist() == [[1, 2, 3, -1, -2, -3], [4, 5, 6, -4, -5, -6]]


@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=3), batch=st.integers(1, 3))
@settings(deadline=None, database=None, max_examples=50)
def test_sequences_become_the_data_that_they_came_from(shape: list[int], batch: int) -> None:
    x = torch.arange(float(batch * math.prod(shape))).reshape(batch, *shape)
    assert torch.equal(from_sequence(to_sequence(x), tuple(shape)), x)
    sequence = torch.arange(float(batch * math.prod(shape))).reshape(batch, *steps_and_features("test", tuple(shape)))
    assert torch.equal(to_sequence(from_sequence(sequence, tuple(shape))), sequence)


# Values


@pytest.mark.parametrize("shape", [(6, 3), (7,), (3, 4, 5)])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_features_are_the_last_state_of_the_last_layer(
    shape: Shape, cell: str, layers: int, bidirectional: bool
) -> None:
    made = encoder(shape, cell=cell, layers=layers, bidirectional=bidirectional)
    x = torch.randn(3, *shape)
    sequence = steps(x)
    reference = TORCHS_OWN[cell](sequence.shape[2], 4, layers, batch_first=True, bidirectional=bidirectional)
    reference.load_state_dict(made.rnn.state_dict())
    states, _ = reference(sequence)  # of the last layer, at every step
    owed = torch.cat([states[:, -1, :4], states[:, 0, 4:]], 1)  # backwards, the first step is the last to be read
    torch.testing.assert_close(made(x), owed)


def test_a_gru_of_one_unit_is_as_by_hand() -> None:
    made = encoder((2,), cell="gru", hidden=1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        made.rnn.weight_ih_l0.copy_(torch.tensor([[0.0], [0.0], [1.0]]))  # reset, update, new
    first = 0.5 * math.tanh(2.0)  # the update gate is at 1/2
    second = 0.5 * math.tanh(-1.0) + 0.5 * first
    torch.testing.assert_close(made(torch.tensor([[2.0, -1.0]])), torch.tensor([[second]]))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_every_step_counts_and_so_does_their_order(cell: str) -> None:
    made = encoder((5, 2), cell=cell)
    x = torch.randn(1, 5, 2)
    for step in range(5):
        other = x.clone()
        other[:, step] += 1
        assert not torch.allclose(made(x), made(other))
    assert not torch.allclose(made(x), made(x.flip(1)))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_bidirectional_encoder_reads_backwards_too(cell: str) -> None:
    made = encoder((5, 2), cell=cell, bidirectional=True)
    with torch.no_grad():
        for name, parameter in made.rnn.named_parameters():
            if name.endswith("_reverse"):
                parameter.copy_(made.rnn.get_parameter(name.removesuffix("_reverse")))
    x = torch.randn(3, 5, 2)
    forwards, backwards = made(x).split(4, 1)
    turned_forwards, turned_backwards = made(x.flip(1)).split(4, 1)
    torch.testing.assert_close(backwards, turned_forwards)
    torch.testing.assert_close(forwards, turned_backwards)
    assert not torch.allclose(forwards, backwards)


PATHS = {"its state and its input": (), "its state alone": ("rnn.weight_ih_l0",), "its input alone": ("state.weight",)}


@pytest.mark.parametrize("shape", [(6, 3), (7,), (3, 5, 2)])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("path", PATHS)
def test_every_step_of_the_decoder_depends_on_z(shape: Shape, cell: str, layers: int, path: str) -> None:
    made = decoder((2,), shape, cell=cell, layers=layers).double()
    with torch.no_grad():
        for name in PATHS[path]:
            made.get_parameter(name).zero_()
    z = torch.randn(1, 2, dtype=torch.float64)
    change = steps(made(z) - made(z + 1)).abs().amax((0, 2))
    assert (change > 1e-9).all()


def test_a_decoder_that_sees_no_z_gives_the_same_for_all() -> None:
    made = decoder((2,), (5, 3))
    with torch.no_grad():
        made.rnn.weight_ih_l0.zero_()
        made.state.weight.zero_()
    params = made(torch.randn(2, 2))
    assert torch.equal(params[0], params[1])
    assert not torch.allclose(params[0, 0], params[0, 1])  # its steps differ for all that


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_decoder_is_linear_in_its_states(cell: str, layers: int) -> None:
    made, z = decoder((2,), (5, 3), cell=cell, layers=layers), torch.randn(4, 2)
    reference = TORCHS_OWN[cell](2, 4, layers, batch_first=True)
    reference.load_state_dict(made.rnn.state_dict())
    first = torch.tanh(made.state(z)).reshape(4, layers, 4).transpose(0, 1).contiguous()
    inputs = torch.stack([z] * 5, 1)
    states, _ = reference(inputs, (first, torch.zeros_like(first)) if cell == "lstm" else first)
    torch.testing.assert_close(made(z), states @ made.features.weight.T + made.features.bias)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("shape", [(6, 3), (7,), (3, 4, 5)])
def test_a_datum_by_itself_gives_what_it_gives_among_others(cell: str, layers: int, shape: Shape) -> None:
    options = {"cell": cell, "layers": layers}
    inwards, outwards = encoder(shape, bidirectional=True, **options), decoder((2,), shape, **options)
    for module, given_to in ((inwards, torch.randn(4, *shape)), (outwards, torch.randn(4, 2))):
        together = module(given_to)
        torch.testing.assert_close(together, torch.cat([module(datum[None]) for datum in given_to]))
        assert not torch.allclose(together[0], together[1])


# Parameters


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("shape", [(6, 3), (7,), (2, 4, 5)])
def test_gradients_reach_every_parameter(cell: str, layers: int, bidirectional: bool, shape: Shape) -> None:
    inwards = encoder(shape, cell=cell, layers=layers, bidirectional=bidirectional)
    coder = nn.Sequential(inwards, decoder(inwards.out_shape, shape, cell=cell, layers=layers))
    (coder(torch.randn(8, *shape)) * torch.randn(8, *shape)).sum().backward()
    for name, parameter in coder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(("shape", "features"), [((9, 3), 3), ((9,), 1), ((2, 9, 5), 10)])
def test_parameters_are_counted_as_by_hand(cell: str, shape: Shape, features: int) -> None:
    gates = GATES[cell]

    def of_a_layer(inputs: int, hidden: int) -> int:
        return gates * (inputs * hidden + hidden * hidden + 2 * hidden)  # torch has two biases

    assert count(encoder(shape, cell=cell, hidden=6)) == of_a_layer(features, 6)
    assert count(encoder(shape, cell=cell, hidden=6, layers=3)) == of_a_layer(features, 6) + 2 * of_a_layer(6, 6)
    both = encoder(shape, cell=cell, hidden=6, layers=2, bidirectional=True)
    assert count(both) == 2 * (of_a_layer(features, 6) + of_a_layer(12, 6))
    read = 6 * features + features
    assert count(decoder((2,), shape, cell=cell, hidden=6)) == (2 * 6 + 6) + of_a_layer(2, 6) + read
    deep = decoder((2, 2), shape, cell=cell, hidden=6, layers=2)
    assert count(deep) == (4 * 12 + 12) + of_a_layer(4, 6) + of_a_layer(6, 6) + read


# Options, and what cannot be built


@pytest.mark.parametrize("config", [RNNEncoder.Config, RNNDecoder.Config])
@pytest.mark.parametrize(
    "wrong", [{"cell": "rnn"}, {"hidden": 0}, {"hidden": 2.5}, {"layers": 0}, {"bidirectional": "maybe"}]
)
def test_impossible_options_are_refused(config: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        config.model_validate(wrong)


@pytest.mark.parametrize("config", [RNNEncoder.Config, RNNDecoder.Config])
def test_a_typo_is_named_with_what_was_meant(config: Any) -> None:
    with pytest.raises(ValidationError, match="unknown key 'hiden'; did you mean 'hidden'"):
        config.model_validate({"hiden": 4})


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 3)])
def test_data_without_steps_are_refused(shape: Shape) -> None:
    with pytest.raises(ComponentError, match=r"encoder 'rnn' needs at least one step.* have 0 steps"):
        encoder(shape)
    with pytest.raises(ComponentError, match=r"decoder 'rnn' needs at least one step.* have 0 steps"):
        decoder((2,), shape)


@pytest.mark.parametrize("shape", [(5, 0), (0, 5, 3), (2, 5, 0)])
def test_steps_without_features_are_refused(shape: Shape) -> None:
    with pytest.raises(ComponentError, match="encoder 'rnn' needs at least one step with one feature"):
        encoder(shape)
    with pytest.raises(ComponentError, match="decoder 'rnn' needs at least one step with one feature"):
        decoder((2,), shape)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 3, 4, 5)])
def test_data_that_are_no_sequences_are_refused(shape: Shape) -> None:
    with pytest.raises(ComponentError, match=r"encoder 'rnn' takes sequences \(T, F\).* not data of shape"):
        encoder(shape)
    with pytest.raises(ComponentError, match=r"decoder 'rnn' takes sequences \(T, F\).* not data of shape"):
        decoder((2,), shape)


# Learning

SCALE = 0.25


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_recurrent_vae_learns_sines_better_than_their_mean(cell: str, tmp_path: Path) -> None:
    length = 12
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (500, 1))
    np.save(tmp_path / "sines.npy", np.sin(2 * np.pi * np.arange(length) / length + phase).astype(np.float32))
    part = {"name": "rnn", "cell": cell, "hidden": 16}
    config = as_config(
        {
            "data": {"name": "arrays", "path": str(tmp_path / "sines.npy"), "validation": 100, "test": 0},
            "encoder": {**part, "bidirectional": True},
            "sampler": {"name": "gaussian", "latent": 2},
            "decoder": part,
            "likelihood": {"name": "gaussian", "scale": SCALE},
            "loss": ["reconstruction", "kl"],
            "training": {"epochs": 8, "batch_size": 25, "optimizer": {"name": "adam", "lr": 0.02}},
        }
    )
    with own_random_state():
        data, model = prepare(config)
        history = list(fit(Trainer(model, config.training), data, seed=0))
    assert data.validation is not None
    x = data.validation.x.double().numpy()
    constant = length * (math.log(SCALE) + math.log(2 * math.pi) / 2)
    of_the_mean = ((x - x.mean(0)) ** 2).sum(1).mean() / (2 * SCALE**2) + constant
    losses = [record.validation.loss for record in history if record.validation is not None]
    assert losses[-1] < losses[0]
    assert losses[-1] - constant < (of_the_mean - constant) / 3


# Series with a mask


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_masked_layers_are_those_of_torch_on_packed_sequences(cell: str, bidirectional: bool) -> None:
    config = RNNEncoder.Config.model_validate({"hidden": 4, "layers": 2, "cell": cell, "bidirectional": bidirectional})
    masked = RNNEncoder(config, (9, 3), mask=Side((9,)))
    reference = TORCHS_OWN[cell](3, 4, 2, batch_first=True, bidirectional=bidirectional)
    for name, own in reference.named_parameters():
        kind, level = name.removesuffix("_reverse").rsplit("_l", 1)
        source = masked.rnn.layers[int(level)][int(name.endswith("_reverse"))]  # type: ignore[union-attr, index]
        own.data = getattr(source, f"{kind}_l0").data
    x, lengths = torch.randn(4, 9, 3), torch.tensor([9, 4, 1, 6])
    mask = (torch.arange(9) < lengths[:, None]).float()
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    state = reference(packed)[1]
    last = (state[0] if isinstance(state, tuple) else state)[-(1 + bidirectional) :].movedim(0, 1).flatten(1)
    torch.testing.assert_close(masked(x, mask), last)
    assert count(masked) == count(reference)


def test_steps_that_are_missing_within_a_series_are_passed_over() -> None:
    masked = RNNEncoder(RNNEncoder.Config(hidden=4, bidirectional=True), (6, 2), mask=Side((6,)))
    x, there = torch.randn(1, 6, 2), torch.tensor([True, False, True, True, False, True])
    front = torch.cat([x[:, there], x[:, ~there]], 1)
    torch.testing.assert_close(masked(x, there.float()[None]), masked(front, torch.tensor([[1.0, 1, 1, 1, 0, 0]])))
