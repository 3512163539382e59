"""Transformers, against that of torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from genkit.errors import ComponentError
from genkit.interfaces import Schema, Side
from genkit_transformer import TransformerDecoder, TransformerEncoder
from genkit_transformer.layers import Layer, Tokens
from tests.models import built


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        yield


def torchs(layer: Layer, width: int, heads: int) -> nn.TransformerEncoderLayer:
    """The layer of torch with the same weights."""
    theirs = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, F.gelu, norm_first=True, batch_first=True)
    own = layer.state_dict()
    names = {"norms.0": "norm1", "norms.1": "norm2", "dense.0": "linear1", "dense.2": "linear2"}
    names |= {"joined": "self_attn.out_proj"}
    state = {f"{new}.{each}": own[f"{old}.{each}"] for old, new in names.items() for each in ("weight", "bias")}
    state |= {f"self_attn.in_proj_{each}": own[f"queries_keys_values.{each}"] for each in ("weight", "bias")}
    theirs.load_state_dict(state)
    return theirs


def test_a_layer_is_that_of_torch_with_and_without_a_mask() -> None:
    layer, tokens = Layer(12, 3, 0.0), torch.randn(4, 7, 12)
    theirs = torchs(layer, 12, 3)
    torch.testing.assert_close(layer(tokens, None), theirs(tokens))
    there = torch.rand(4, 7) < 0.6
    there[:, 0] = True
    masked = layer(tokens, there[:, None, None])
    torch.testing.assert_close(masked, theirs(tokens, src_key_padding_mask=~there))
    without = torch.where(there.unsqueeze(2), tokens, 5.0)
    torch.testing.assert_close(layer(without, there[:, None, None])[there], masked[there])


def test_patches_are_those_of_unfold_and_are_joined_again() -> None:
    tokens, x = Tokens("it", (3, 8, 12), 4), torch.randn(5, 3, 8, 12)
    cut = tokens.cut(x)
    torch.testing.assert_close(cut, F.unfold(x, 4, stride=4).transpose(1, 2))
    assert cut.shape == (5, tokens.count, tokens.size) == (5, 6, 48)
    assert torch.equal(tokens.joined(cut), x)
    series = Tokens("it", (9, 2), 4)
    assert (series.count, series.size) == (9, 2)
    steps = torch.randn(5, 9, 2)
    assert torch.equal(series.joined(series.cut(steps)), steps)


@pytest.mark.parametrize("features", ["tokens", "summary"])
def test_steps_that_are_not_there_change_nothing(features: str) -> None:
    encoder = TransformerEncoder(TransformerEncoder.Config(width=8, features=features), (6, 2), Side((6,))).eval()
    x, mask = torch.randn(3, 6, 2), torch.tensor([[1.0, 1, 0, 1, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]])
    codes = encoder(x, mask=mask)
    assert codes.shape == (3, *encoder.out_shape) == ((3, 6, 8) if features == "tokens" else (3, 8))
    other = torch.where(mask.unsqueeze(2) > 0, x, 9.0)
    torch.testing.assert_close(encoder(other, mask=mask), codes)
    assert codes.isfinite().all()
    assert features == "summary" or not codes[mask == 0].any()
    assert not torch.allclose(encoder(other, mask=torch.ones(3, 6))[0], codes[0])
    decoder = TransformerDecoder(TransformerDecoder.Config(width=8), (2,), (6, 2), Side((6,))).eval()
    z = torch.randn(3, 2)
    whole, some = decoder(z, mask=torch.ones(3, 6)), decoder(z, mask=mask)
    torch.testing.assert_close(whole[1], some[1])
    assert not torch.allclose(whole[0], some[0])
    assert some.isfinite().all()


def test_series_with_a_mask_make_a_model_whose_codes_follow_what_is_there() -> None:
    parts = {kind: {"name": "transformer", "width": 8} for kind in ("encoder", "decoder")}
    model = built(Schema((6, 2), {"mask": Side((6,))}), **parts)
    x, mask = torch.randn(2, 6, 2), torch.tensor([[1.0] * 4 + [0.0] * 2, [1.0] * 6])
    other = torch.where(mask.unsqueeze(2) > 0, x, 7.0)
    assert torch.equal(model.encode(x, mask=mask), model.encode(other, mask=mask))
    assert model.decode(torch.zeros(2, 2), mask=mask)[0, 4:].isnan().all()


def test_each_token_has_a_place() -> None:
    encoder = TransformerEncoder(TransformerEncoder.Config(width=8, features="summary"), (6, 2)).eval()
    x = torch.randn(3, 6, 2)
    assert not torch.allclose(encoder(x), encoder(x.flip(1)))
    nn.init.zeros_(encoder.stack.places)
    torch.testing.assert_close(encoder(x), encoder(x.flip(1)))


def test_patches_that_do_not_fill_images_and_vectors_are_refused() -> None:
    for part, shapes in ((TransformerEncoder, ()), (TransformerDecoder, ((2,),))):
        with pytest.raises(ComponentError, match="patches of 4×4, which do not fill 28×30: choose a `patch`"):
            part(part.Config(), *shapes, (1, 28, 30))
        with pytest.raises(ComponentError, match=r"not data of shape \(12,\)"):
            part(part.Config(), *shapes, (12,))
    with pytest.raises(ValidationError, match="a width of 10 is not divided by 4 heads"):
        TransformerEncoder.Config(width=10)
