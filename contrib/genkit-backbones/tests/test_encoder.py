from __future__ import annotations

import subprocess
import sys
from typing import Any

import genkit
import pytest
import torch
from genkit.errors import ComponentError
from pydantic import ValidationError
from transformers import AutoModel, ResNetConfig

from genkit_backbones import BackboneEncoder, architectures

SMALL: dict[str, dict[str, Any]] = {
    "resnet": {"embedding_size": 4, "hidden_sizes": [4, 6], "depths": [1, 1], "layer_type": "basic"},
    "convnext": {"hidden_sizes": [4, 6], "depths": [1, 1], "num_stages": 2, "patch_size": 2},
    "vit": {
        "patch_size": 4,
        "hidden_size": 6,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "pooler_output_size": 6,
    },
    "swin": {"patch_size": 2, "embed_dim": 4, "depths": [1, 1], "num_heads": [1, 2], "window_size": 2},
    "mobilenet_v2": {"depth_multiplier": 0.25},
}
WIDTHS = {"resnet": 6, "convnext": 6, "vit": 6, "swin": 8, "mobilenet_v2": 1280}


def make(model: str, shape: tuple[int, ...] = (1, 16, 16), pooled: bool = True, **options: Any) -> BackboneEncoder:
    torch.manual_seed(0)
    settings = {**SMALL.get(model, {}), **options}
    return BackboneEncoder(BackboneEncoder.Config(model=model, options=settings, pooled=pooled), shape)


@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 16, 16), (5, 16, 24)], ids=str)
def test_features_have_the_shape_that_is_promised(model: str, shape: tuple[int, ...]) -> None:
    encoder = make(model, shape)
    assert encoder.out_shape == (WIDTHS[model],)
    assert encoder(torch.rand(3, *shape)).shape == (3, *encoder.out_shape)


@pytest.mark.parametrize("model", SMALL)
def test_unpooled_features_are_all_places_of_the_last_hidden_state(model: str) -> None:
    encoder, x = make(model, pooled=False).eval(), torch.rand(2, 1, 16, 16)
    hidden = encoder.network(pixel_values=x).last_hidden_state
    assert torch.equal(encoder(x), hidden.flatten(1))
    assert encoder.out_shape == (hidden[0].numel(),)
    assert encoder.out_shape[0] > WIDTHS[model] or model == "mobilenet_v2"  # which has one place left


def test_features_are_those_of_transformers_with_the_same_weights() -> None:
    encoder = make("resnet").eval()
    theirs = AutoModel.from_config(ResNetConfig(num_channels=1, **SMALL["resnet"])).eval()
    theirs.load_state_dict(encoder.network.state_dict())
    x = torch.rand(4, 1, 16, 16)
    output = theirs(pixel_values=x)
    assert torch.equal(encoder(x), output.pooler_output.flatten(1))
    torch.testing.assert_close(encoder(x), output.last_hidden_state.mean((2, 3)))


@pytest.mark.parametrize(("model", "places"), [("poolformer", (2, 3)), ("ijepa", 1)])
def test_where_an_architecture_pools_nothing_the_mean_over_places_is_taken(model: str, places: Any) -> None:
    options = SMALL["vit"] if model == "ijepa" else {"hidden_sizes": [4] * 4, "depths": [1] * 4}
    encoder, x = make(model, **options).eval(), torch.rand(2, 1, 16, 16)
    output = encoder.network(pixel_values=x)
    assert getattr(output, "pooler_output", None) is None
    assert torch.equal(encoder(x), output.last_hidden_state.mean(places))


@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("pooled", [True, False])
def test_every_parameter_that_is_fitted_has_a_part_in_the_features(model: str, pooled: bool) -> None:
    encoder = make(model, pooled=pooled)
    encoder(torch.rand(3, 1, 16, 16)).square().sum().backward()
    fitted = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert fitted == {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    frozen = {name for name, _ in encoder.named_parameters()} - fitted
    unread = {"vit": "network.pooler", "convnext": "network.layernorm", "swin": "network.pooler"}
    assert all(name.startswith(unread[model]) for name in frozen)
    assert bool(frozen) == (not pooled and model in ("vit", "convnext"))


def test_weights_follow_the_random_state() -> None:
    one, same = make("vit"), make("vit")
    assert all(torch.equal(first, second) for first, second in zip(one.parameters(), same.parameters(), strict=True))
    other = BackboneEncoder(BackboneEncoder.Config(model="vit", options=SMALL["vit"]), (1, 16, 16))
    matrices = [next(p for p in encoder.parameters() if p.ndim == 2) for encoder in (one, other)]
    assert not torch.equal(*matrices)


@pytest.mark.parametrize("model", ["resnet", "vit"])
def test_a_compiled_pass_is_one_graph_and_gives_the_same(model: str) -> None:
    encoder, x = make(model).eval(), torch.rand(3, 1, 16, 16)
    compiled = torch.compile(encoder, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), encoder(x))


UNFIT = {
    **dict.fromkeys(
        ["clip", "imagegpt", "metaclip_2", "perceiver", "siglip", "siglip2"], "makes no features of images"
    ),
    **dict.fromkeys(["hgnet_v2", "tipsv2"], "has no attribute 'last_hidden_state'"),
    **dict.fromkeys(["timm_backbone", "timm_wrapper"], "requires the timm library"),
    "dinat": "requires the natten library",
}
"""Architectures that need more than images or another library, or give no hidden state."""


@pytest.mark.parametrize("model", sorted(architectures.names() - UNFIT.keys()))
def test_every_other_architecture_is_built_at_its_usual_size(model: str) -> None:
    with torch.device("meta"):  # without allocating it
        encoder = BackboneEncoder(BackboneEncoder.Config(model=model), (3, 448, 448))
        assert encoder.eval()(torch.zeros(2, 3, 448, 448)).shape == (2, *encoder.out_shape)


@pytest.mark.parametrize("model", UNFIT)
def test_an_architecture_that_cannot_be_an_encoder_says_why(model: str) -> None:
    with torch.device("meta"), pytest.raises(ComponentError, match=f"encoder 'backbone': {model}.*{UNFIT[model]}"):
        BackboneEncoder(BackboneEncoder.Config(model=model), (3, 448, 448))


@pytest.mark.parametrize("shape", [(7,), (28, 28), (1, 8, 8, 8)], ids=str)
def test_data_that_are_no_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ComponentError, match=r"encoder 'backbone' takes images \(C, H, W\), not data of shape"):
        make("resnet", shape)


@pytest.mark.parametrize(
    ("model", "shape", "options", "message"),
    [
        ("resnett", (1, 16, 16), {}, "transformers has no vision backbone 'resnett'; did you mean 'resnet'?"),
        ("bert", (1, 16, 16), {}, "transformers has no vision backbone 'bert'"),
        ("resnet", (1, 16, 16), {"depth": [1]}, "resnet has no option 'depth'; did you mean 'depths'?"),
        ("resnet", (1, 16, 16), {"num_channels": 3}, "'num_channels' follows from the data; leave it out"),
        ("vit", (1, 16, 16), {"image_size": 8}, "'image_size' follows from the data; leave it out"),
        ("resnet", (1, 16, 16), {"return_dict": False}, "resnet has no option 'return_dict'"),
        ("resnet", (1, 16, 16), {"hidden_sizes": "large"}, "resnet refuses them: .*'hidden_sizes' with value 'large'"),
        ("resnet", (1, 16, 16), {"layer_type": "plain"}, "resnet refuses them: .*layer_type=plain is not one of"),
        ("resnet", (1, 16, 16), {"hidden_act": "sharp"}, "resnet cannot be built: "),
        ("vit", (1, 2, 2), {}, "images of 2 x 2 are too small for vit's patches of 4 x 4; give a patch_size"),
        ("vit", (1, 15, 16), {}, "images of 15 x 16 are no whole number of vit's patches of 4 x 4"),
        ("textnet", (1, 64, 64), {}, r"textnet makes no features of images \(1, 64, 64\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    model: str, shape: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ComponentError, match=f"encoder 'backbone': .*{message}"):
        make(model, shape, **options)


def test_unknown_keys_are_refused_and_options_survive_their_form() -> None:
    with pytest.raises(ValidationError, match="unknown key 'modell'"):
        BackboneEncoder.Config.model_validate({"name": "backbone", "modell": "vit"})
    config = BackboneEncoder.Config(model="vit", options=SMALL["vit"])
    assert BackboneEncoder.Config.model_validate_json(config.model_dump_json()) == config


def test_listing_the_plugin_imports_no_transformers() -> None:
    code = "import genkit_backbones, sys; genkit_backbones.components(); sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_run_by_name_and_its_model_loaded_again(tmp_path: Any) -> None:
    encoder = {"name": "backbone", "model": "vit", "options": {**SMALL["vit"], "patch_size": 2}}
    run = genkit.run(
        {
            "data": {"name": "digits", "size": 8},
            "encoder": encoder,
            "sampler": {"name": "gaussian", "latent": 2},
            "decoder": {"name": "mlp", "hidden": [16]},
            "likelihood": "bernoulli",
            "loss": ["reconstruction", "kl"],
            "training": {"epochs": 3, "device": "cpu"},
        },
        out=tmp_path / "run",
    )
    losses = [record.train.loss for record in run.history]
    assert losses == sorted(losses, reverse=True)
    x = run.data.test.x
    assert torch.equal(genkit.load(run.directory.path).encode(x), run.model.encode(x))
