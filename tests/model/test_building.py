"""Which parts go together, and what is said of those that do not."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genkit.errors import ComponentError
from genkit.interfaces import Component, Encoder, Loss, Shape
from genkit.model.model import Model
from genkit.model.summary import describe
from genkit_gan import Adversarial
from genkit_mlp import MLPDecoder, MLPEncoder
from genkit_sparse import PointSampler
from genkit_vae import KL, BernoulliLikelihood, GaussianSampler, Reconstruction
from tests.models import built

SHAPE = (1, 4, 4)
Make = Callable[..., str]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(31)
        yield


def made(shape: Shape = SHAPE, **changes: Any) -> Model:
    own = {"sampler": {"name": "gaussian", "latent": 3}, "likelihood": "bernoulli"}
    return built(shape, **{**own, **changes})


def gan(**critic: Any) -> dict[str, Any]:
    """The changes that make a model without an encoder."""
    return {"encoder": None, "loss": {"name": "adversarial", "critic": {"name": "mlp", "hidden": [6], **critic}}}


def refusal(shape: Shape = SHAPE, **changes: Any) -> str:
    """The message, without the place in this file where a part was made to fail."""
    with pytest.raises(ComponentError) as caught:
        made(shape, **changes)
    return re.sub(r" \(test_building\.py:\d+\)", "", str(caught.value))


# Every part with every other

SHAPES = ((1, 8, 8), (3, 7, 5), (12,), (10, 3), (2, 6, 6, 6))
ENCODERS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [9, 8]},
    "cnn": {"layers": [{"channels": 3, "stride": 2}, {"channels": 4}], "normalization": "group"},
    "rnn": {"hidden": 5, "bidirectional": True},
}
DECODERS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [8, 9]},
    "cnn": {"layers": [{"channels": 4, "stride": 2}, {"channels": 3}, {}], "normalization": "group"},
    "rnn": {"hidden": 5, "cell": "gru"},
}
SAMPLERS: dict[str, list[str]] = {"gaussian": ["reconstruction", "kl"], "point": ["reconstruction", "l1"]}
REFUSED: dict[tuple[str, Shape], str] = {
    ("cnn", (12,)): "takes series (T, F), images (C, H, W) or volumes (C, D, H, W), not data of shape (12,)",
    ("rnn", (2, 6, 6, 6)): "takes sequences (T, F), (T,) or images (C, H, W), not data of shape (2, 6, 6, 6)",
}


def combination(encoder: str, sampler: str, decoder: str) -> dict[str, Any]:
    return {
        "encoder": {"name": encoder, **ENCODERS[encoder]},
        "sampler": {"name": sampler, "latent": 3},
        "decoder": {"name": decoder, **DECODERS[decoder]},
        "loss": SAMPLERS[sampler],
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("encoder", "sampler", "decoder"), list(itertools.product(ENCODERS, SAMPLERS, DECODERS)))
def test_every_combination_works_or_is_refused_with_the_reason(
    encoder: str, sampler: str, decoder: str, shape: Shape
) -> None:
    changes = combination(encoder, sampler, decoder)
    for kind, name in (("encoder", encoder), ("decoder", decoder)):
        if (name, shape) in REFUSED:
            assert refusal(shape, **changes) == f"{kind} '{name}' {REFUSED[name, shape]}"
            return
    model, x = made(shape, **changes), torch.rand(4, *shape)
    z = model.encode(x)
    assert z.shape == (4, 3)
    assert model.decode(z).shape == x.shape
    assert sum(row.parameters for row in describe(model)) == sum(p.numel() for p in model.parameters())
    passed = model(x)
    assert passed.log_prob.shape == (1, 4)
    torch.stack([loss(passed).mean() for loss in model.losses.values()]).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_generates_without_an_encoder_or_is_refused(decoder: str, shape: Shape) -> None:
    changes = {**gan(), "decoder": {"name": decoder, **DECODERS[decoder]}}
    if (decoder, shape) in REFUSED:
        assert refusal(shape, **changes) == f"decoder '{decoder}' {REFUSED[decoder, shape]}"
        return
    model = made(shape, **changes)
    assert model.sample(5).shape == (5, *shape)
    assert model(torch.rand(4, *shape)).generated.shape == (4, *shape)


# A part that breaks its word


def without(attribute: str, base: type[Any]) -> Callable[..., None]:
    """A constructor that forgets one of the things that the base's sets."""

    def init(self: Any, *arguments: Any) -> None:
        base.__init__(self, *arguments)
        delattr(self, attribute)

    return init


def with_shape(attribute: str, base: type[Any], shape: Any) -> Callable[..., None]:
    def init(self: Any, *arguments: Any) -> None:
        base.__init__(self, *arguments)
        setattr(self, attribute, shape)

    return init


PROMISES = [
    ("encoder", MLPEncoder, "out_shape"),
    ("sampler", GaussianSampler, "latent_shape"),
    ("likelihood", BernoulliLikelihood, "params_shape"),
]


@pytest.mark.parametrize(("kind", "base", "attribute"), PROMISES)
def test_a_part_that_does_not_say_its_shape_is_named(
    variant: Make, kind: str, base: type[Component], attribute: str
) -> None:
    name = variant(base, __init__=without(attribute, base))
    owed = f"{kind} '{name}' must set `{attribute}` to a tuple of whole numbers, and has None"
    assert refusal(**{kind: name}) == owed


@pytest.mark.parametrize("shape", [[3], 3, (3.0,), ("3",), torch.tensor([3])])
@pytest.mark.parametrize(("kind", "base", "attribute"), PROMISES)
def test_a_shape_that_is_no_tuple_of_whole_numbers_is_shown(
    variant: Make, kind: str, base: type[Component], attribute: str, shape: Any
) -> None:
    name = variant(base, __init__=with_shape(attribute, base, shape))
    owed = f"{kind} '{name}' must set `{attribute}` to a tuple of whole numbers, and has {shape!r}"
    assert refusal(**{kind: name}) == owed


def latent_but(**fields: Any) -> Callable[..., Any]:
    return lambda self, features, draws=1: GaussianSampler.forward(self, features, draws)._replace(**fields)


@pytest.mark.parametrize(
    ("forward", "given"),
    [
        (lambda self, features, draws=1: tuple(GaussianSampler.forward(self, features, draws)), "tuple"),
        (lambda self, features, draws=1: GaussianSampler.forward(self, features, draws).z, "Tensor"),
        (lambda *_: None, "NoneType"),
    ],
)
def test_a_sampler_that_gives_no_latent_is_named(variant: Make, forward: Callable[..., Any], given: str) -> None:
    name = variant(GaussianSampler, forward=forward)
    assert refusal(sampler=name) == f"sampler '{name}' gives {given}; it must give a Latent"


@pytest.mark.parametrize("shape", [(), (2,), (3, 2), (2, 2, 2)])
def test_a_kl_of_another_shape_is_refused(variant: Make, shape: Shape) -> None:
    name = variant(GaussianSampler, forward=latent_but(kl=torch.zeros(shape)))
    assert (
        refusal(sampler=name)
        == f"sampler '{name}' (kl) gives shape {shape} where (2, G) or, per draw, (1, 2, G) is needed"
    )


@pytest.mark.parametrize("columns", [1, 2])
def test_a_kl_may_have_a_column_a_dimension_or_one_in_all(variant: Make, columns: int) -> None:
    def forward(self: Any, features: Tensor, draws: int = 1) -> Any:
        latent = GaussianSampler.forward(self, features, draws)
        return latent._replace(kl=latent.kl if columns == 2 else latent.kl.sum(1, keepdim=True))

    model = made(sampler=variant(GaussianSampler, forward=forward))
    assert model(torch.rand(5, *SHAPE)).latent.kl.shape == (5, columns)


@pytest.mark.parametrize("shape", [(), (2,), (3, 1), (2, 2, 2)])
def test_a_log_ratio_of_another_shape_is_refused(variant: Make, shape: Shape) -> None:
    name = variant(GaussianSampler, forward=latent_but(log_ratio=torch.zeros(shape)))
    needed = f"sampler '{name}' (log_ratio) gives shape {shape} where (1, 2) is needed (batch included)"
    assert refusal(sampler=name) == needed


def test_a_sampler_that_fails_only_when_asked_for_no_draws_is_refused(variant: Make) -> None:
    def forward(self: Any, features: Tensor, draws: int = 1) -> Any:
        return GaussianSampler.forward(self, features, max(draws, 1))

    name = variant(GaussianSampler, forward=forward)
    assert refusal(sampler=name).startswith(f"sampler '{name}', asked for no draws, (z) gives shape (1, 2, 2)")


def failing(*_: Any) -> Any:
    raise ValueError("of no use")


def half(*_: Any) -> Any:
    return 0.5


def of_shape(*shape: int) -> Callable[..., Tensor]:
    return lambda *_: torch.zeros(shape)


@pytest.mark.parametrize("with_encoder", [True, False])
def test_a_prior_that_raises_is_named(variant: Make, with_encoder: bool) -> None:
    name = variant(GaussianSampler, prior=failing)
    changes = {} if with_encoder else gan()
    assert refusal(**changes, sampler=name) == f"sampler '{name}' (prior) fails: ValueError: of no use"


def test_a_prior_that_gives_no_tensor_is_named(variant: Make) -> None:
    name = variant(GaussianSampler, prior=half)
    needed = f"sampler '{name}' (prior) gives float where a tensor of shape (3, 2) is needed"
    assert refusal(sampler=name) == needed


def test_a_part_that_asks_a_sampler_without_one_for_its_density_is_named(variant: Make) -> None:
    def attach(self: Any, model: Any) -> None:
        self.log_q = model.sampler.log_q

    name = variant(Reconstruction, attach=attach)
    assert made(loss=[name]).losses[name].log_q is not None
    said = refusal(sampler="point", loss=[name])
    assert said.startswith(f"loss '{name}' cannot be attached to the model: AttributeError: 'PointSampler' object has")
    assert "the sampler's q(z|x) has no density at any z: choose one that has (a genkit.DensitySampler)" in said
    decoder = variant(MLPDecoder, attach=failing)
    said = refusal(decoder=decoder)
    assert said.startswith(f"decoder '{decoder}' cannot be attached to the model: ValueError: of no use")


def test_a_likelihood_whose_mean_raises_is_named(variant: Make) -> None:
    name = variant(BernoulliLikelihood, mean=failing)
    failure = f"likelihood '{name}' (mean) fails on input of shape (1, 2, 1, 4, 4): ValueError: of no use"
    assert refusal(likelihood=name) == failure


@pytest.mark.parametrize(
    ("kind", "base", "method", "needed"),
    [
        ("encoder", MLPEncoder, "forward", "(2, 256)"),
        ("decoder", MLPDecoder, "forward", "(2, 1, 4, 4)"),
        ("likelihood", BernoulliLikelihood, "log_prob", "(1, 2)"),
    ],
)
def test_a_part_that_gives_no_tensor_is_named(
    variant: Make, kind: str, base: type[Component], method: str, needed: str
) -> None:
    name = variant(base, **{method: half})
    assert refusal(**{kind: name}) == f"{kind} '{name}' gives float where a tensor of shape {needed} is needed"


def test_a_term_that_gives_no_tensor_is_named(variant: Make) -> None:
    name = variant(Reconstruction, forward=half)
    assert refusal(loss=["kl", name]) == f"loss '{name}' gives float for 2 data; it must give () or (B,)"


def test_a_part_of_another_type_is_named(variant: Make) -> None:
    name = variant(MLPEncoder, forward=lambda self, x: MLPEncoder.forward(self, x).double())
    wanted = "gives float64 where float32 is needed: make new tensors with dtype=x.dtype"
    assert refusal(encoder=name) == f"encoder '{name}' {wanted}"
    name = variant(Reconstruction, forward=lambda self, forward: Reconstruction.forward(self, forward).double())
    assert refusal(loss=["kl", name]) == f"loss '{name}' {wanted}"
    name = variant(Reconstruction, forward=lambda self, forward: Reconstruction.forward(self, forward).long())
    assert refusal(loss=["kl", name]) == f"loss '{name}' {wanted.replace('float64', 'int64')}"


def test_a_part_that_cannot_be_attached_is_named(variant: Make) -> None:
    def refuses(self: Any, model: Any) -> None:
        raise ComponentError("it needs an encoder of x alone")

    def fails(self: Any, model: Any) -> None:
        raise KeyError("codes")

    name = variant(Reconstruction, attach=refuses)
    assert refusal(loss=["kl", name]) == f"loss '{name}' refuses the model: it needs an encoder of x alone"
    name = variant(MLPEncoder, attach=fails)
    assert refusal(encoder=name) == f"encoder '{name}' cannot be attached to the model: KeyError: 'codes'"


@pytest.mark.parametrize(
    ("critic_loss", "given"), [(of_shape(2, 1), "shape (2, 1)"), (of_shape(3), "shape (3,)"), (half, "float")]
)
def test_a_critics_loss_of_another_shape_is_refused(variant: Make, critic_loss: Callable[..., Any], given: str) -> None:
    name = variant(Adversarial, critic_loss=critic_loss)
    changes = {**gan(), "loss": {"name": name, "critic": "mlp"}}
    assert refusal(**changes) == f"loss '{name}' gives {given} for 2 data; it must give () or (B,)"


def test_a_critics_loss_that_fails_is_told_from_the_term_itself(variant: Make) -> None:
    name = variant(Adversarial, critic_loss=failing)
    changes = {**gan(), "loss": {"name": name, "critic": "mlp"}}
    assert refusal(**changes) == f"loss '{name}' (critic) fails: ValueError: of no use"


@pytest.mark.parametrize("shape", [(), (2,)])
def test_a_critics_loss_may_be_one_value_or_one_a_datum(variant: Make, shape: Shape) -> None:
    name = variant(Adversarial, critic_loss=of_shape(*shape))
    assert list(made(**{**gan(), "loss": {"name": name, "critic": "mlp"}}).critics) == [name]


def test_what_a_part_itself_says_of_a_shape_is_said_with_its_name(variant: Make) -> None:
    def init(*_: Any) -> None:
        raise ComponentError("vectors alone")

    name = variant(MLPDecoder, __init__=init)
    assert refusal(decoder=name) == f"decoder '{name}' refuses shape (3,) and (1, 4, 4): vectors alone"


def test_a_part_that_names_itself_is_not_named_twice(variant: Make) -> None:
    def init(*_: Any) -> None:
        raise ComponentError("decoder 'mine' takes vectors alone")

    assert refusal(decoder=variant(MLPDecoder, __init__=init)) == "decoder 'mine' takes vectors alone"


# What a term needs


@pytest.mark.parametrize("term", ["reconstruction", "kl", "sparsity", "l1"])
def test_a_term_that_reads_the_encoder_is_refused_without_one(term: str) -> None:
    losses = [gan()["loss"], term]
    said = refusal(**{**gan(), "loss": losses})
    assert said == f"loss '{term}' needs an encoder, and the config has none: say which encoder it uses"


@pytest.mark.parametrize("need", ["encoder", "kl", "log_ratio", "log_q", "unit_interval"])
def test_each_need_that_speaks_of_the_latents_needs_an_encoder(variant: Make, need: str) -> None:
    term = variant(Reconstruction, needs=(need,))
    assert f"loss '{term}' needs an encoder" in refusal(**{**gan(), "loss": term})


def test_an_encoder_that_no_term_reads_is_refused_and_the_terms_are_named(variant: Make) -> None:
    idle = variant(Reconstruction, needs=())
    said = refusal(loss=[gan()["loss"], idle])
    assert said == f"encoder 'mlp' is read by no loss term ('adversarial', '{idle}'); leave it out"


def test_generated_data_need_a_prior() -> None:
    said = refusal(sampler="point", loss=["reconstruction", gan()["loss"]])
    assert said == "loss 'adversarial' needs a sampler with a prior; sampler 'point' has none"


def test_data_are_generated_only_where_a_term_reads_them() -> None:
    x = torch.rand(4, *SHAPE)
    assert made()(x).generated is None
    assert made(loss=["reconstruction", "kl", gan()["loss"]])(x).generated.shape == x.shape


@pytest.mark.parametrize(
    ("bounds", "fits"),
    [((0.0, 1.0), True), ((0.25, 0.5), True), ((-0.5, 1.0), False), ((0.0, 1.5), False), ((-1.0, 2.0), False)],
)
def test_latents_from_0_to_1_are_those_whose_bounds_say_so(
    variant: Make, bounds: tuple[float, float], fits: bool
) -> None:
    sampler = variant(GaussianSampler, bounds=bounds)
    changes = {"sampler": sampler, "loss": ["reconstruction", "sparsity"]}
    if fits:
        assert list(made(**changes).losses) == ["reconstruction", "sparsity"]
        return
    low, high = bounds
    assert refusal(**changes) == (
        f"loss 'sparsity' needs latents from 0 to 1; those of sampler '{sampler}' go from {low:g} to {high:g}; give it "
        "an activation that bounds them (sigmoid)"
    )


def test_a_term_that_comes_again_is_refused_by_its_number() -> None:
    changes = {"sampler": {"name": "point", "activation": "relu"}}
    losses = ["reconstruction", "reconstruction", {"name": "kl", "weight": 0.5}]
    assert refusal(**changes, loss=losses).startswith("loss 'kl' needs a sampler with a KL divergence")
    twice = {**gan(), "loss": [gan()["loss"], gan()["loss"]]}
    assert list(made(**twice).critics) == ["adversarial", "adversarial-2"]
    idle = [gan()["loss"], gan()["loss"]]
    assert "('adversarial', 'adversarial-2')" in refusal(loss=idle)


def test_a_model_without_kl_is_built_where_no_term_asks_for_one() -> None:
    model = made(sampler="point", loss="reconstruction")
    assert isinstance(model.sampler, PointSampler)
    assert model(torch.rand(4, *SHAPE)).latent.kl is None
    assert not any(isinstance(loss, KL) for loss in model.losses.values())


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


@pytest.mark.parametrize(
    ("need", "words"), [("kl", "a KL divergence"), ("log_ratio", "a density"), ("log_q", r"a density log q\(z\|x\)")]
)
def test_a_term_that_needs_what_the_sampler_lacks_is_refused(variant: Make, need: str, words: str) -> None:
    sampler = variant(GaussianSampler, forward=changed_latent(**{need: None, "log_ratio": None}))
    term = variant(Reconstruction, needs=(need,))
    message = rf"loss '{term}' needs a sampler with {words}.*; sampler '{sampler}' has none"
    with pytest.raises(ComponentError, match=message):
        made(sampler=sampler, loss=["reconstruction", term])
    assert list(made(sampler=sampler, loss=["reconstruction"]).losses) == ["reconstruction"]


def test_the_kl_term_is_refused_with_a_sampler_without_a_kl(variant: Make) -> None:
    sampler = variant(GaussianSampler, forward=changed_latent(kl=None, log_ratio=None))
    with pytest.raises(ComponentError, match="loss 'kl' needs a sampler with a KL divergence"):
        made(sampler=sampler)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (1,)])
def test_a_term_of_another_shape_is_refused(variant: Make, shape: Shape) -> None:
    term = variant(Reconstruction, forward=of_shape(*shape))
    with pytest.raises(ComponentError) as caught:
        made(loss=["reconstruction", term])
    assert str(caught.value) == f"loss '{term}' gives shape {shape} for 2 data; it must give () or (B,)"


@pytest.mark.parametrize("shape", [(), (2,)])
def test_a_term_may_be_one_value_or_one_a_datum(variant: Make, shape: Shape) -> None:
    term = variant(Reconstruction, forward=of_shape(*shape))
    assert isinstance(made(loss=[term]).losses[term], Loss)


def test_a_term_that_fails_is_named(variant: Make) -> None:
    with pytest.raises(ComponentError, match=r"loss '.+' fails: ValueError: of no use"):
        made(loss=[variant(KL, forward=failing)])


def test_the_layer_of_a_part_that_fails_is_named(variant: Make) -> None:
    def init(self: Any, config: Any, shape: Any) -> None:
        Encoder.__init__(self, config, shape)
        self.out_shape = (4,)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Sequential(nn.ReLU(), nn.Linear(9, 4)))

    name = variant(MLPEncoder, __init__=init)
    said = refusal(encoder={"name": name, "hidden": [6]})
    expected = f"encoder '{name}' fails in its layer 'layers.2.1' (Linear) on input of shape (2, 8): RuntimeError: mat1"
    assert said.startswith(expected)
