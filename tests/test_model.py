from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genkit.assembly import build
from genkit.config import parse
from genkit.errors import ComponentError, DataError
from genkit.interfaces import Component, Loss, Shape
from genkit.model import BATCH, Model
from genkit.registry import register, registry
from genkit_mlp import MLPDecoder, MLPEncoder
from genkit_vae import KL, BernoulliLikelihood, GaussianSampler, Reconstruction

SHAPE = (1, 4, 4)
Make = Callable[..., str]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(23)
        yield


@pytest.fixture
def variant(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Registers a component with other members under a name of its own, for one test; returns the name."""
    monkeypatch.setattr(registry(), "_claims", {key: list(claims) for key, claims in registry()._claims.items()})
    monkeypatch.setattr(registry(), "plugins", list(registry().plugins))

    def make(base: type[Component], **members: Any) -> str:
        name = "of-test-model"
        config = type("Config", (base.Config,), {"__annotations__": {"name": Literal[name]}, "name": name})
        register(type("Variant", (base,), {"Config": config, **members}))
        return name

    return make


def made(shape: Shape = SHAPE, **changes: Any) -> Model:
    parts = {
        "data": "digits",
        "encoder": {"name": "mlp", "hidden": [6]},
        "sampler": {"name": "gaussian", "latent": 3},
        "decoder": {"name": "mlp", "hidden": [6]},
        "likelihood": "bernoulli",
        "loss": ["reconstruction", "kl"],
    }
    return build(parse({**parts, **changes}), shape)


# What a model does


def test_a_pass_holds_k_draws_of_everything_that_depends_on_z() -> None:
    passed = made()(torch.rand(5, *SHAPE), draws=4)
    assert passed.latent.z.shape == (4, 5, 3)
    assert passed.params.shape == (4, 5, *SHAPE)
    assert passed.log_prob.shape == (4, 5)


def test_a_pass_decodes_each_draw_of_each_datum_on_its_own() -> None:
    model = made()
    passed = model(torch.rand(5, *SHAPE), draws=4)
    torch.testing.assert_close(passed.params[2, 3], model.decoder(passed.latent.z[2, 3].unsqueeze(0))[0])
    alone = model.likelihood.log_prob(passed.x[3:4], passed.params[2:3, 3:4])
    torch.testing.assert_close(passed.log_prob[2, 3], alone[0, 0])


def test_encoding_is_the_same_each_time_and_draws_nothing() -> None:
    model, x = made(), torch.rand(7, *SHAPE)
    before = torch.get_rng_state()
    first, second = model.encode(x), model.encode(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)


def test_encoding_gives_the_posterior_mean() -> None:
    model, x = made(), torch.rand(7, *SHAPE)
    torch.testing.assert_close(model.encode(x), model(x, draws=3).latent.mean)
    z = model(x, draws=20_000).latent.z
    assert ((model.encode(x) - z.mean(0)).abs() < 5 * z.std(0) / 20_000**0.5).all()


def test_reconstruction_decodes_the_encoding() -> None:
    model, x = made(), torch.rand(7, *SHAPE)
    assert torch.equal(model.reconstruct(x), model.decode(model.encode(x)))
    assert model.reconstruct(x).shape == x.shape


def test_decoding_gives_the_mean_of_p_of_x_given_z() -> None:
    model, z = made(), torch.randn(7, 3)
    torch.testing.assert_close(model.decode(z), torch.sigmoid(model.decoder(z)))


def test_numpy_arrays_and_bytes_are_taken_too() -> None:
    model, raw = made(), np.arange(32, dtype=np.uint8).reshape(2, *SHAPE) * 8
    from_bytes = model.encode(raw)
    torch.testing.assert_close(from_bytes, model.encode(raw.astype(np.float64) / 255))
    torch.testing.assert_close(from_bytes, model.encode(torch.from_numpy(raw).float() / 255))
    z = from_bytes.numpy().astype(np.float64)
    torch.testing.assert_close(model.decode(z), model.decode(from_bytes))


def test_whole_numbers_in_z_are_themselves_and_no_bytes() -> None:
    model = made()
    assert torch.equal(model.decode(np.ones((1, 3), dtype=np.uint8)), model.decode(torch.ones(1, 3)))


def test_what_comes_out_has_no_gradient() -> None:
    model, x = made(), torch.rand(2, *SHAPE, requires_grad=True)
    for result in (model.encode(x), model.decode(torch.zeros(2, 3)), model.reconstruct(x), model.sample(2)):
        assert not result.requires_grad


@pytest.mark.parametrize("n", [0, 1, 5, BATCH + 3])
@pytest.mark.parametrize("noise", [False, True])
def test_samples_are_as_many_as_asked_for(n: int, noise: bool) -> None:
    assert made().sample(n, noise).shape == (n, *SHAPE)


def test_samples_are_means_of_p_of_x_given_z_from_the_prior() -> None:
    model = made()
    torch.manual_seed(4)
    found = model.sample(5)
    torch.manual_seed(4)
    torch.testing.assert_close(found, torch.sigmoid(model.decoder(torch.randn(5, 3))))


def test_samples_with_noise_are_draws_from_p_of_x_given_z() -> None:
    model = made()
    assert set(model.sample(8, noise=True).unique().tolist()) == {0.0, 1.0}
    assert len(model.sample(8).unique()) > 2
    n, x = 5000, model.sample(5000, noise=True)
    assert ((x.mean(0) - model.sample(n).mean(0)).abs() < 5 / n**0.5).all()


@pytest.mark.parametrize("training", [True, False])
def test_using_a_model_leaves_its_mode_as_it_was(training: bool) -> None:
    model = made().train(training)
    for use in (model.encode, model.reconstruct, lambda _: model.sample(2), lambda _: model.decode(torch.zeros(2, 3))):
        use(torch.rand(2, *SHAPE))
        assert all(module.training is training for module in model.modules())


def test_a_model_in_training_is_used_without_dropout(variant: Make) -> None:
    name = variant(MLPEncoder, forward=lambda self, x: F.dropout(self.layers(x), 0.5, self.training))
    model, x = made(encoder=name).train(), torch.rand(4, *SHAPE)
    assert torch.equal(model.encode(x), model.encode(x))
    assert not torch.equal(model(x).latent.mean, model(x).latent.mean)


def test_the_mode_is_put_back_after_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made().train()

    def fail(_: Tensor) -> Tensor:
        assert not model.training
        raise RuntimeError("half way")

    monkeypatch.setattr(model.decoder, "forward", fail)
    with pytest.raises(RuntimeError, match="half way"):
        model.sample(2)
    assert model.training
    assert torch.is_grad_enabled()


def test_many_data_are_streamed_to_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = made(), torch.rand(10, *SHAPE)
    at_once = model.encode(x), model.reconstruct(x)
    seen: list[int] = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    monkeypatch.setattr("genkit.model.BATCH", 4)
    torch.testing.assert_close((model.encode(x), model.reconstruct(x)), at_once)
    assert seen == [4, 4, 2] * 2
    assert model.sample(10).shape == (10, *SHAPE)


def test_more_data_than_a_batch_keep_their_order() -> None:
    model, x = made(), torch.rand(BATCH + 5, *SHAPE)
    torch.testing.assert_close(model.encode(x)[-7:], model.encode(x[-7:]))


def test_no_data_give_no_result() -> None:
    model = made()
    assert model.encode(torch.empty(0, *SHAPE)).shape == (0, 3)
    assert model.decode(torch.empty(0, 3)).shape == (0, *SHAPE)


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 4), (2, 4, 4), (2, 1, 4, 5), ()])
def test_data_of_another_shape_are_refused_with_both_shapes(shape: Shape) -> None:
    with pytest.raises(DataError) as caught:
        made().encode(torch.zeros(shape))
    assert str(caught.value) == f"the model takes data of shape (N, 1, 4, 4), not {shape}"


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 1)])
def test_points_of_another_shape_are_refused_with_both_shapes(shape: Shape) -> None:
    with pytest.raises(DataError) as caught:
        made().decode(torch.zeros(shape))
    assert str(caught.value) == f"decode takes z of shape (N, 3), not {shape}"


# How a model is built


def test_parameters_are_drawn_part_by_part_and_the_check_draws_none() -> None:
    torch.manual_seed(9)
    model = made()
    after = torch.get_rng_state()
    torch.manual_seed(9)
    encoder = MLPEncoder(MLPEncoder.Config(hidden=(6,)), SHAPE)
    sampler = GaussianSampler(GaussianSampler.Config(latent=3), (6,))
    decoder = MLPDecoder(MLPDecoder.Config(hidden=(6,)), (3,), SHAPE)
    assert torch.equal(torch.get_rng_state(), after)
    for part, alone in ((model.encoder, encoder), (model.sampler, sampler), (model.decoder, decoder)):
        torch.testing.assert_close(part.state_dict(), alone.state_dict(), rtol=0, atol=0)


def test_a_built_model_knows_its_config_and_is_ready_to_be_trained() -> None:
    model = made()
    assert model.config is not None
    assert model.config.sampler.latent == 3
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_term_that_comes_again_gets_a_number() -> None:
    model = made(loss=["kl", "reconstruction", {"name": "kl", "weight": 0.5}, "kl"])
    assert list(model.losses) == ["kl", "reconstruction", "kl-2", "kl-3"]


def test_as_many_draws_are_made_as_the_most_demanding_term_needs(variant: Make) -> None:
    model = made(loss=["reconstruction", variant(Reconstruction, draws=5)])
    assert model.draws == 5
    assert model(torch.rand(2, *SHAPE)).log_prob.shape == (5, 2)


def failing(*_: Any) -> Any:
    raise ValueError("of no use")


def of_shape(*shape: int) -> Callable[..., Tensor]:
    return lambda *_: torch.zeros(shape)


def changed_latent(**fields: Any) -> Callable[..., Any]:
    return lambda self, features, draws=1: GaussianSampler.forward(self, features, draws)._replace(**fields)


MISFITS: list[tuple[str, type[Component], dict[str, Any], str]] = [
    ("encoder", MLPEncoder, {"__init__": failing}, "cannot be built for shape (1, 4, 4): ValueError: of no use"),
    ("encoder", MLPEncoder, {"forward": failing}, "fails on input of shape (2, 1, 4, 4): ValueError: of no use"),
    ("encoder", MLPEncoder, {"forward": of_shape(2, 7)}, "gives shape (2, 7) where (2, 256) is needed"),
    ("sampler", GaussianSampler, {"__init__": failing}, "cannot be built for shape (6,): ValueError: of no use"),
    ("sampler", GaussianSampler, {"forward": failing}, "fails on input of shape (2, 6): ValueError: of no use"),
    (
        "sampler",
        GaussianSampler,
        {"forward": changed_latent(z=torch.zeros(2, 2))},
        "(z) gives shape (2, 2) where (1, 2, 2)",
    ),
    (
        "sampler",
        GaussianSampler,
        {"forward": changed_latent(mean=torch.zeros(1, 2, 2))},
        "(mean) gives shape (1, 2, 2) where (2, 2)",
    ),
    ("sampler", GaussianSampler, {"prior": of_shape(3, 5)}, "(prior) gives shape (3, 5) where (3, 2) is needed"),
    ("decoder", MLPDecoder, {"__init__": failing}, "cannot be built for shape (3,) and (1, 4, 4): ValueError"),
    ("decoder", MLPDecoder, {"forward": failing}, "fails on input of shape (2, 3): ValueError: of no use"),
    ("decoder", MLPDecoder, {"forward": of_shape(2, 4, 4)}, "gives shape (2, 4, 4) where (2, 1, 4, 4) is needed"),
    ("likelihood", BernoulliLikelihood, {"log_prob": failing}, "fails on input of shape (2, 1, 4, 4), (1, 2, 1, 4, 4)"),
    ("likelihood", BernoulliLikelihood, {"log_prob": of_shape(2)}, "gives shape (2,) where (1, 2) is needed"),
    ("likelihood", BernoulliLikelihood, {"mean": of_shape(1, 2, 16)}, "(mean) gives shape (1, 2, 16) where (1, 2, 1"),
]


@pytest.mark.parametrize(("kind", "base", "members", "message"), MISFITS)
def test_a_part_that_does_not_fit_is_named(
    variant: Make, kind: str, base: type[Component], members: dict[str, Any], message: str
) -> None:
    name = variant(base, **members)
    with pytest.raises(ComponentError) as caught:
        made(**{kind: name})
    assert str(caught.value).startswith(f"{kind} '{name}' ")
    assert message in str(caught.value)


def test_the_shape_of_the_latent_space_reaches_the_decoder(variant: Make) -> None:
    """A sampler that promises another shape than it gives is the one to blame."""

    def init(self: Any, config: Any, features: Shape) -> None:
        GaussianSampler.__init__(self, config, features)
        self.latent_shape = (9,)

    with pytest.raises(ComponentError, match=r"\(z\) gives shape \(1, 2, 2\) where \(1, 2, 9\) is needed"):
        made(sampler=variant(GaussianSampler, __init__=init))


@pytest.mark.parametrize(("need", "words"), [("kl", "a KL divergence"), ("log_ratio", "a density")])
def test_a_term_that_needs_what_the_sampler_lacks_is_refused(variant: Make, need: str, words: str) -> None:
    sampler = variant(GaussianSampler, forward=changed_latent(**{need: None}))
    term = variant(Reconstruction, needs=(need,))
    message = f"loss '{term}' needs a sampler with {words}; sampler '{sampler}' has none"
    with pytest.raises(ComponentError, match=message):
        made(sampler=sampler, loss=["reconstruction", term])
    assert list(made(sampler=sampler, loss=["reconstruction"]).losses) == ["reconstruction"]


def test_the_kl_term_is_refused_with_a_sampler_without_a_kl(variant: Make) -> None:
    sampler = variant(GaussianSampler, forward=changed_latent(kl=None))
    with pytest.raises(ComponentError, match="loss 'kl' needs a sampler with a KL divergence"):
        made(sampler=sampler)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (1,)])
def test_a_term_of_another_shape_is_refused(variant: Make, shape: Shape) -> None:
    term = variant(Reconstruction, forward=of_shape(*shape))
    with pytest.raises(ComponentError) as caught:
        made(loss=["reconstruction", term])
    assert str(caught.value) == f"loss '{term}' gives shape {shape} for 2 data; it owes () or (B,)"


@pytest.mark.parametrize("shape", [(), (2,)])
def test_a_term_may_be_one_value_or_one_a_datum(variant: Make, shape: Shape) -> None:
    term = variant(Reconstruction, forward=of_shape(*shape))
    assert isinstance(made(loss=[term]).losses[term], Loss)


def test_a_term_that_fails_is_named(variant: Make) -> None:
    with pytest.raises(ComponentError, match=r"loss '.+' fails: ValueError: of no use"):
        made(loss=[variant(KL, forward=failing)])
