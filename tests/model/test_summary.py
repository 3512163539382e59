from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genkit.data.dataset import DataSignature
from genkit.errors import GenkitError
from genkit.interfaces import Schema, Shape, Side
from genkit.model.building import build
from genkit.model.model import Model
from genkit.model.summary import Row, describe, part_of
from genkit.runs.opening import as_config


def made(shape: Shape | Schema = (1, 8, 8), **changes: Any) -> Model:
    parts = {
        "data": "digits",
        "encoder": {"name": "mlp", "hidden": [6, 5]},
        "sampler": {"name": "gaussian", "latent": 3},
        "decoder": {"name": "mlp", "hidden": [7], "activation": "tanh"},
        "likelihood": "bernoulli",
        "loss": ["reconstruction", "kl"],
    }
    with torch.random.fork_rng():
        return build(as_config({**parts, **changes}), shape)


class Stub(nn.Module):
    """A layer of one's own, of any forward pass."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module, own: int = 0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.function = function
        if own:
            self.own = nn.Parameter(torch.zeros(own))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


def encoder_rows(model: Model, module: nn.Module) -> list[Row]:
    """The rows of a model with another encoder."""
    model.encoder = module
    return [row for row in describe(model) if row.name.startswith("encoder")]


def test_rows_follow_the_data_through_the_model() -> None:
    assert describe(made()) == [
        Row("input", "data", (1, 8, 8), 0),
        Row("encoder.layers.0", "Flatten", (64,), 0),
        Row("encoder.layers.1", "Linear", (6,), 64 * 6 + 6, "ReLU"),
        Row("encoder.layers.3", "Linear", (5,), 6 * 5 + 5, "ReLU"),
        Row("sampler.mean", "Linear", (3,), 5 * 3 + 3),
        Row("sampler.log_var", "Linear", (3,), 5 * 3 + 3, parallel=True),
        Row("sampler", "GaussianSampler", (3,), 0),
        Row("decoder.layers.1", "Linear", (7,), 3 * 7 + 7, "Tanh"),
        Row("decoder.layers.3", "Linear", (64,), 7 * 64 + 64),
        Row("decoder.layers.4", "Unflatten", (1, 8, 8), 0),
        Row("likelihood", "BernoulliLikelihood", (1, 8, 8), 0),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"encoder": {"name": "mlp", "hidden": []}, "decoder": {"name": "mlp", "hidden": []}},
        {"likelihood": {"name": "gaussian", "scale": "learned"}},
        {"prior": {"name": "mixture", "components": 3}},
    ],
)
@pytest.mark.parametrize("shape", [(1, 8, 8), (5,)])
def test_parameters_add_up_to_those_of_the_model(shape: Shape, changes: dict[str, Any]) -> None:
    model = made(shape, **changes)
    assert sum(row.parameters for row in describe(model)) == sum(p.numel() for p in model.parameters())


def test_a_condition_of_many_classes_has_a_row() -> None:
    schema = Schema((5,), {"labels": Side(classes=1000)})
    model = made(schema, condition="labels")
    rows = {row.name: row for row in describe(model)}
    assert rows["condition"] == Row("condition", "Conditions", (32,), 1000 * 32)
    assert sum(row.parameters for row in rows.values()) == sum(p.numel() for p in model.parameters())


def test_the_parameters_of_the_loss_terms_are_left_out() -> None:
    model = made()
    before = sum(row.parameters for row in describe(model))
    model.losses["kl"].critic = nn.Linear(10, 10)
    assert sum(row.parameters for row in describe(model)) == before


def test_only_the_second_of_two_heads_is_marked_and_both_have_the_shape_of_z() -> None:
    rows = describe(made())
    assert [row.name for row in rows if row.parallel] == ["sampler.log_var"]
    heads = [row for row in rows if row.name in ("sampler.mean", "sampler.log_var")]
    assert [row.shape for row in heads] == [(3,), (3,)]


def test_the_input_is_named_for_its_source() -> None:
    model = made()
    model.data = DataSignature(source="digits", shape=model.shape, range=(0, 1), classes=None, counts={})
    assert describe(model)[0] == Row("input", "digits", (1, 8, 8), 0)


@pytest.mark.parametrize("layer", [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh, nn.Sigmoid])
def test_an_activation_is_part_of_the_row_before_it(layer: type[nn.Module]) -> None:
    rows = encoder_rows(made((4,)), nn.Sequential(nn.Linear(4, 5), layer()))
    assert rows == [Row("encoder.0", "Linear", (5,), 25, layer.__name__)]


def test_a_second_activation_has_a_row_of_its_own() -> None:
    rows = encoder_rows(made((4,)), nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Sigmoid()))
    assert [(row.type, row.activation) for row in rows] == [("Linear", "Tanh"), ("Sigmoid", None)]


def test_layers_that_change_the_values_have_rows_and_such_that_do_nothing_have_none() -> None:
    layers = (nn.Flatten(), nn.Linear(4, 5), nn.Dropout(), nn.LayerNorm(5), nn.Flatten())
    rows = encoder_rows(made((4,)), nn.Sequential(*layers))
    assert [(row.type, row.parameters) for row in rows] == [("Linear", 25), ("LayerNorm", 10)]


def test_parameters_of_a_part_itself_have_a_row_after_its_layers() -> None:
    model = made((4,))
    rows = encoder_rows(model, Stub(lambda x, layer: layer(x), nn.Linear(4, 5), own=3))
    assert [(row.name, row.type, row.parameters) for row in rows] == [
        ("encoder.layers.0", "Linear", 25),
        ("encoder", "Stub", 3),
    ]
    assert sum(row.parameters for row in describe(model)) == sum(p.numel() for p in model.parameters())


def test_parameters_that_belong_to_the_sampler_itself_are_in_its_row() -> None:
    model = made()
    model.sampler.register_parameter("temperature", nn.Parameter(torch.ones(2)))
    assert next(row for row in describe(model) if row.name == "sampler").parameters == 2


def test_layers_side_by_side_are_marked() -> None:
    branches = Stub(lambda x, a, b: a(x) + b(x), nn.Linear(4, 5), nn.Linear(4, 5))
    assert [row.parallel for row in encoder_rows(made((4,)), branches)] == [False, True]


def test_describing_leaves_the_model_and_the_random_state_as_they_were() -> None:
    model = made().train()
    state = torch.get_rng_state()
    describe(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_are_gone_after_a_failure_too() -> None:
    model = made()
    model.decoder = nn.Sequential(nn.Linear(9, 9))
    with pytest.raises(RuntimeError):
        describe(model)
    assert not any(module._forward_hooks for module in model.modules())


def test_rows_go_through_json() -> None:
    row = describe(made())[2]
    assert json.loads(json.dumps(row.to_json())) == {
        "name": "encoder.layers.1",
        "type": "Linear",
        "shape": [6],
        "parameters": 390,
        "activation": "ReLU",
        "parallel": False,
    }


def test_the_encoder_or_the_decoder_alone(finished) -> None:
    rows = describe(finished.model)
    encoder, decoder = part_of(rows, "encoder"), part_of(rows, "decoder")
    assert [row.name for row in encoder][:1] + [row.name for row in encoder][-3:] == [
        *("input", "sampler.mean", "sampler.log_var", "sampler")
    ]
    assert (decoder[0].name, decoder[0].shape, decoder[-1].name) == ("z", (2,), "likelihood")
    assert sum(row.parameters for row in [*encoder, *decoder]) == sum(row.parameters for row in rows)
    with pytest.raises(GenkitError, match="no part 'encodr'; choose from encoder, decoder"):
        part_of(rows, "encodr")


def test_channels_last_is_only_another_way_to_write_a_shape() -> None:
    assert Row("a", "Conv2d", (64, 14, 15), 3).channels_last().shape == (14, 15, 64)
    assert Row("a", "Linear", (64,), 3).channels_last().shape == (64,)
