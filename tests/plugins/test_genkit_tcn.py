"""Causal convolutions, against sums over steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from genkit.errors import ComponentError
from genkit.interfaces import Schema, Side
from genkit_tcn import TCNDecoder, TCNEncoder
from genkit_tcn.layers import CausalBlock, CausalConvolution, causal_blocks, enough_blocks, window
from tests.models import built


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        yield


def test_a_causal_convolution_is_a_sum_over_steps_at_its_dilation() -> None:
    layer, x = CausalConvolution(2, 3, 3, 4), torch.randn(5, 2, 11)
    weight = layer.weight
    expected = layer.bias.view(1, 3, 1).expand(5, 3, 11).clone()
    for step in range(11):
        for tap in range(3):
            before = step - 4 * (2 - tap)
            if before >= 0:
                expected[:, :, step] += x[:, :, before] @ weight[:, :, tap].T
    torch.testing.assert_close(layer(x), expected)


def test_weights_start_as_those_of_a_convolution_and_have_their_size_apart() -> None:
    layer = CausalConvolution(2, 3, 3, 1)
    torch.testing.assert_close(layer.weight, layer.direction)
    layer.direction.data.mul_(7)
    layer.size.data.fill_(2.0)
    torch.testing.assert_close(layer.weight.flatten(1).norm(dim=1), torch.full((3,), 2.0))


def test_a_block_adds_its_input_to_two_convolutions() -> None:
    block, x = CausalBlock(2, 3, 2, 1, 0.5).eval(), torch.randn(4, 2, 6)
    first, second = block.layers[0], block.layers[3]
    expected = torch.relu(torch.relu(second(torch.relu(first(x)))) + block.shortcut(x))
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(("kernel", "blocks"), [(2, 1), (2, 3), (3, 2), (4, 2)])
def test_a_step_sees_its_window_and_no_step_after_it(kernel: int, blocks: int) -> None:
    layers, steps = causal_blocks(1, 8, kernel, blocks, 0.0).double(), 60
    x = torch.randn(16, 1, steps, dtype=torch.float64, requires_grad=True)
    layers(x)[:, :, -20].sum().backward()
    read = x.grad.abs().sum((0, 1)).nonzero().flatten()
    assert int(read.max()) == steps - 20
    assert int(read.min()) == steps - 20 - window(kernel, blocks) + 1


def test_by_default_the_last_step_sees_the_first() -> None:
    for kernel in range(2, 6):
        for steps in (1, 2, 3, 8, 64, 65, 1000):
            blocks = enough_blocks(kernel, steps)
            assert window(kernel, blocks) >= steps
            assert blocks == 1 or window(kernel, blocks - 1) < steps
    encoder = TCNEncoder(TCNEncoder.Config(channels=16), (64, 1)).double()
    x = torch.randn(8, 64, 1, dtype=torch.float64, requires_grad=True)
    encoder(x).sum().backward()
    assert (x.grad.abs().sum((0, 2)) > 0).all()


def test_features_are_those_of_the_last_step_that_is_there() -> None:
    encoder = TCNEncoder(TCNEncoder.Config(channels=6), (9, 2), Side((9,))).eval()
    plain = TCNEncoder(TCNEncoder.Config(channels=6), (9, 2)).eval()
    plain.load_state_dict(encoder.state_dict())
    x, lengths = torch.randn(4, 9, 2), [9, 5, 1, 3]
    mask = torch.stack([(torch.arange(9) < length).float() for length in lengths])
    features = encoder(x, mask=mask)
    for row, length in enumerate(lengths):
        short = TCNEncoder(TCNEncoder.Config(channels=6, blocks=2), (length, 2)).eval()
        short.load_state_dict(encoder.state_dict())
        torch.testing.assert_close(features[row : row + 1], short(x[row : row + 1, :length]))
    torch.testing.assert_close(encoder(torch.where(mask.unsqueeze(2) > 0, x, 1e6), mask=mask), features)
    assert encoder(x, mask=torch.zeros(4, 9)).isfinite().all()
    torch.testing.assert_close(encoder(x, mask=torch.ones(4, 9)), plain(x))


def test_series_with_a_mask_make_a_model_whose_codes_follow_what_is_there() -> None:
    model = built(Schema((9, 2), {"mask": Side((9,))}), encoder={"name": "tcn", "channels": 6}, decoder={"name": "tcn"})
    x, mask = torch.randn(2, 9, 2), torch.tensor([[1.0] * 4 + [0.0] * 5, [1.0] * 9])
    other = torch.where(mask.unsqueeze(2) > 0, x, 7.0)
    assert torch.equal(model.encode(x, mask=mask), model.encode(other, mask=mask))


def test_the_decoder_starts_from_z_at_each_step() -> None:
    decoder = TCNDecoder(TCNDecoder.Config(channels=8), (2,), (5, 3))
    z = torch.randn(4, 2)
    states = decoder.layers(decoder.first(z)[:, :, None] + decoder.places)
    torch.testing.assert_close(decoder(z), decoder.last(states.transpose(1, 2)))


def test_volumes_are_refused() -> None:
    with pytest.raises(ComponentError, match="encoder 'tcn' takes sequences"):
        TCNEncoder(TCNEncoder.Config(), (1, 2, 3, 4))
