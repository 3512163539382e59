from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence

from genkit.errors import ComponentError
from genkit.evaluation.figures import evaluate
from genkit.interfaces import Forward, Latent, Shape
from genkit.model.building import build
from genkit.model.model import Model
from genkit.model.summary import describe
from genkit.runs.opening import as_config, prepare
from genkit.runs.running import run
from genkit.training.epochs import fit
from genkit.training.seeds import own_random_state
from genkit.training.trainer import Trainer
from genkit_sparse import L1, PointSampler, Sparsity


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(17)
        yield


def sampler(features: Shape | None = (5,), **options: Any) -> PointSampler:
    return PointSampler(PointSampler.Config.model_validate(options), features)


def sparsity(**options: Any) -> Sparsity:
    return Sparsity(Sparsity.Config.model_validate(options), (4,))


def passed(code: Tensor) -> Forward:
    """A pass of which only the code (B, *latent_shape) matters."""
    empty = torch.empty(0)
    return Forward(empty, Latent(code.unsqueeze(0), code, None, None), empty, empty, None, None)  # type: ignore[arg-type]


def parts(**changes: Any) -> dict[str, Any]:
    return {
        "data": "digits",
        "encoder": {"name": "mlp", "hidden": []},
        "sampler": {"name": "point", "latent": 10, "activation": "sigmoid"},
        "decoder": {"name": "mlp", "hidden": []},
        "likelihood": "gaussian",
        "loss": ["reconstruction"],
        **changes,
    }


def made(shape: Shape = (1, 4, 4), **changes: Any) -> Model:
    return build(as_config(parts(**changes)), shape)


# The point sampler

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_code_is_an_activation_of_one_linear_layer(name: str) -> None:
    made, features = sampler((2, 3), latent=4, activation=name), torch.randn(6, 2, 3) * 3
    linear = features.flatten(1) @ made.code.weight.T + made.code.bias
    torch.testing.assert_close(made(features).mean, FUNCTIONS[name](linear))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_code_lies_outside_the_bounds_that_its_sampler_gives(name: str) -> None:
    made = sampler(latent=50, activation=name)
    low, high = made.bounds
    code = made(torch.randn(200, 5) * 30).mean
    assert low <= code.min()
    assert code.max() <= high


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("sigmoid", (0, 1)),
        ("tanh", (-1, 1)),
        ("relu", (0, math.inf)),
        ("softplus", (0, math.inf)),
        ("identity", (-math.inf, math.inf)),
    ],
)
def test_the_bounds_are_those_of_the_activation(name: str, bounds: tuple[float, float]) -> None:
    assert sampler(activation=name).bounds == bounds


@pytest.mark.parametrize("draws", [0, 1, 3])
def test_each_draw_is_the_same_point_and_no_random_number_is_drawn(draws: int) -> None:
    made, features = sampler(latent=4), torch.randn(6, 5)
    before = torch.get_rng_state()
    latent = made(features, draws)
    assert torch.equal(torch.get_rng_state(), before)
    assert latent.z.shape == (draws, 6, 4)
    assert torch.equal(latent.z, latent.mean.repeat(draws, 1, 1))
    assert latent.kl is None
    assert latent.log_ratio is None


def test_gradients_of_all_draws_reach_the_code() -> None:
    made = sampler(latent=4)
    made(torch.randn(6, 5), draws=3).z.sum().backward()
    assert made.code.bias.grad.tolist() == [18.0] * 4


@pytest.mark.parametrize("k", [1, 3, 8])
def test_top_k_keeps_exactly_the_k_largest_of_each_datum(k: int) -> None:
    made, features = sampler(latent=8, top_k=k), torch.randn(20, 5)
    linear = made.code(features)
    code = made(features).mean
    kept = code != 0
    assert (kept.sum(1) == k).all()
    assert torch.equal(code[kept], linear[kept])
    for row, chosen in zip(linear, kept, strict=True):
        assert set(row[chosen].tolist()) == set(row.sort(descending=True).values[:k].tolist())


def test_top_k_passes_gradients_to_the_units_that_are_kept_alone() -> None:
    made = sampler(latent=8, top_k=2)
    code = made(torch.randn(1, 5)).mean
    code.sum().backward()
    kept = code[0] != 0
    assert kept.sum() == 2
    assert torch.equal(made.code.bias.grad, kept.float())
    assert torch.equal(made.code.weight.grad.abs().sum(1) > 0, kept)


def test_top_k_chooses_after_the_activation_and_never_more_than_k() -> None:
    made, features = sampler(latent=8, top_k=3, activation="relu"), torch.randn(50, 5)
    code = made(features).mean
    positive = (made.code(features) > 0).sum(1)
    assert positive.min() < 3 < positive.max()
    assert torch.equal((code > 0).sum(1), positive.clamp(max=3))


def test_ties_are_cut_at_k_too() -> None:
    made = sampler(latent=8, top_k=3)
    with torch.no_grad():
        made.code.weight.zero_()
        made.code.bias.fill_(1.5)
    code = made(torch.randn(4, 5)).mean
    assert (code.sum(1) == 4.5).all()


def test_top_k_of_all_units_changes_nothing() -> None:
    whole, kept = sampler(latent=8, activation="tanh"), sampler(latent=8, activation="tanh", top_k=8)
    kept.load_state_dict(whole.state_dict())
    features = torch.randn(6, 5)
    assert torch.equal(whole(features).mean, kept(features).mean)


def test_more_units_to_keep_than_there_are_is_refused() -> None:
    with pytest.raises(ComponentError, match="sampler 'point': a code of 8 units cannot keep the 9 largest"):
        sampler(latent=8, top_k=9)


@pytest.mark.parametrize("options", [{"latent": 0}, {"top_k": 0}, {"top_k": -1}, {"activation": "step"}])
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        PointSampler.Config.model_validate(options)


def test_without_an_encoder_there_is_nothing_to_make_a_point_of() -> None:
    with pytest.raises(ComponentError, match="sampler 'point' needs an encoder: it has no prior to draw from"):
        sampler(None)


# The sparsity term


@pytest.mark.parametrize("rho", [0.02, 0.1, 0.5, 0.9])
def test_sparsity_is_the_kl_of_two_bernoullis_summed_over_the_units(rho: float) -> None:
    code = torch.rand(30, 7, dtype=torch.float64)
    expected = kl_divergence(Bernoulli(torch.tensor(rho, dtype=torch.float64)), Bernoulli(code.mean(0))).sum()
    torch.testing.assert_close(sparsity(rho=rho)(passed(code)), expected)


def test_sparsity_is_one_statistic_of_the_batch() -> None:
    code = torch.rand(30, 7)
    value = sparsity()(passed(code))
    assert value.shape == ()
    apart = torch.stack([sparsity()(passed(row.unsqueeze(0))) for row in code]).mean()
    assert value < apart  # of the batch's means, not of each datum


def test_sparsity_of_a_latent_of_any_shape_is_over_all_its_units() -> None:
    code = torch.rand(30, 2, 3)
    torch.testing.assert_close(sparsity()(passed(code)), sparsity()(passed(code.flatten(1))))


@pytest.mark.parametrize("rho", [0.05, 0.25, 0.75])
def test_sparsity_is_zero_where_each_mean_is_rho_and_nowhere_else(rho: float) -> None:
    at_rho = torch.full((4, 6), rho, dtype=torch.float64)
    assert sparsity(rho=rho)(passed(at_rho)).item() == pytest.approx(0, abs=1e-12)
    for elsewhere in (-0.02, 0.02):
        moved = at_rho.clone()
        moved[:, 2] += elsewhere
        assert sparsity(rho=rho)(passed(moved)).item() > 1e-4


def test_the_mean_counts_and_not_the_single_activations() -> None:
    uneven = torch.tensor([[0.0, 0.4], [0.2, 0.0], [0.1, 0.1], [0.5, 0.3]], dtype=torch.float64)  # means: 0.2, 0.2
    assert sparsity(rho=0.2)(passed(uneven)).item() == pytest.approx(0, abs=1e-12)


def test_the_gradient_pushes_each_mean_towards_rho() -> None:
    means = torch.tensor([0.01, 0.1, 0.2, 0.4, 0.99])
    code = means.repeat(8, 1).requires_grad_()
    sparsity(rho=0.2)(passed(code)).backward()
    assert torch.equal(code.grad[:, [0, 1]].sign(), torch.full((8, 2), -1.0))  # descent raises them
    assert torch.equal(code.grad[:, [3, 4]].sign(), torch.full((8, 2), 1.0))
    assert code.grad[:, 2].abs().max() < 1e-6


def test_descent_on_the_term_alone_brings_each_mean_to_rho() -> None:
    logits = torch.randn(16, 6).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        sparsity(rho=0.1)(passed(torch.sigmoid(logits))).backward()
        optimizer.step()
    torch.testing.assert_close(torch.sigmoid(logits).mean(0), torch.full((6,), 0.1), atol=0.005, rtol=0)


def test_gradcheck_of_the_sparsity() -> None:
    code = (torch.rand(5, 4, dtype=torch.float64) * 0.9 + 0.05).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: sparsity(rho=0.1)(passed(given)), (code,))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_sparsity_is_finite_where_units_are_always_off_or_always_on(value: float) -> None:
    code = torch.rand(5, 3)
    code[:, 1] = value
    code.requires_grad_()
    term = sparsity()(passed(code))
    term.backward()
    assert torch.isfinite(term)
    assert torch.isfinite(code.grad).all()
    others = sparsity()(passed(code.detach()[:, [0, 2]]))
    assert term > others + 0.1


@pytest.mark.parametrize("rho", [0, 1, -0.1, 1.5])
def test_a_rho_that_is_no_probability_between_0_and_1_is_refused(rho: float) -> None:
    with pytest.raises(ValidationError, match="rho"):
        Sparsity.Config.model_validate({"rho": rho})


# The L1 term


def test_l1_is_the_sum_of_the_absolute_activations_of_each_datum() -> None:
    code = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [-1.0, 0.25, 0.0]])
    assert L1(L1.Config(), (4,))(passed(code)).tolist() == [3.5, 0.0, 1.25]


def test_l1_of_a_latent_of_any_shape_is_over_all_its_units() -> None:
    code = torch.randn(3, 2, 4)
    torch.testing.assert_close(L1(L1.Config(), (4,))(passed(code)), code.abs().sum((1, 2)))


def test_l1_pulls_every_activation_to_zero_with_the_same_force() -> None:
    code = torch.tensor([[3.0, -0.01, 0.0]], requires_grad=True)
    L1(L1.Config(), (4,))(passed(code)).sum().backward()
    assert code.grad.tolist() == [[1.0, -1.0, 0.0]]


# Models of these parts


def test_a_code_may_be_wider_than_the_data() -> None:
    model, x = made((1, 4, 4), sampler={"name": "point", "latent": 100}), torch.rand(3, 1, 4, 4)
    assert model.encode(x).shape == (3, 100)
    assert model.reconstruct(x).shape == x.shape


def test_encoding_is_deterministic_and_is_the_code_that_is_trained() -> None:
    model, x = made(), torch.rand(5, 1, 4, 4)
    before = torch.get_rng_state()
    first = model.encode(x)
    assert torch.equal(first, model.encode(x))
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(first, model(x).latent.z[0])


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        ("relu", "go from 0 to inf"),
        ("identity", "go from -inf to inf"),
        ("tanh", "go from -1 to 1"),
        ("softplus", "go from 0 to inf"),
    ],
)
def test_sparsity_is_refused_with_activations_that_leave_the_unit_interval(activation: str, words: str) -> None:
    with pytest.raises(ComponentError) as caught:
        made(sampler={"name": "point", "activation": activation}, loss=["reconstruction", "sparsity"])
    said = str(caught.value)
    assert said.startswith(f"loss 'sparsity' needs latents from 0 to 1; those of sampler 'point' {words};")
    assert said.endswith("(sigmoid)")


def test_sparsity_is_refused_with_a_gaussian_posterior() -> None:
    with pytest.raises(ComponentError, match="those of sampler 'gaussian' go from -inf to inf"):
        made(sampler="gaussian", loss=["reconstruction", "sparsity"])


@pytest.mark.parametrize("top_k", [None, 3])
def test_sparsity_is_taken_with_sigmoid_units(top_k: int | None) -> None:
    chosen = {"name": "point", "latent": 6, "activation": "sigmoid", "top_k": top_k}
    model = made(sampler=chosen, loss=["reconstruction", "sparsity"])
    assert model.losses["sparsity"](model(torch.rand(4, 1, 4, 4))).shape == ()


def test_a_kl_is_refused_with_a_point() -> None:
    with pytest.raises(ComponentError) as caught:
        made(loss=["reconstruction", "kl"])
    assert str(caught.value) == "loss 'kl' needs a sampler with a KL divergence; sampler 'point' has none"


def test_generated_data_are_refused_with_a_point() -> None:
    adversarial = {"name": "adversarial", "critic": {"name": "mlp", "hidden": [4]}}
    with pytest.raises(ComponentError) as caught:
        made(loss=["reconstruction", adversarial])
    assert str(caught.value) == "loss 'adversarial' needs a sampler with a prior; sampler 'point' has none"


def test_an_autoencoder_refuses_to_generate_and_says_what_it_can_do_instead() -> None:
    with pytest.raises(ComponentError, match=r"sampler 'point' has no prior.*decode codes of data, or use a sampler"):
        made().sample(3)


def test_it_is_described_with_its_code_as_a_layer_and_all_its_parameters() -> None:
    model = made()
    rows = describe(model)
    code = next(row for row in rows if row.name == "sampler.code")
    assert (code.type, code.shape, code.parameters, code.activation) == ("Linear", (10,), 16 * 10 + 10, "Sigmoid")
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())


# Trained for real


def trained(**changes: Any) -> tuple[Model, Any, list[Any]]:
    values = parts(
        sampler={"name": "point", "latent": 100, "activation": "sigmoid"},
        training={"epochs": 40, "batch_size": 200, "optimizer": {"name": "adam", "lr": 0.01}},
    )
    run_config = as_config({**values, **changes})
    data, model = prepare(run_config)
    with own_random_state():
        return model, data, list(fit(Trainer(model, run_config.training), data, seed=0))


def test_the_penalty_brings_held_out_activations_to_rho_and_without_it_they_are_not_there() -> None:
    rho, means = 0.1, {}
    for weight in (0.5, 0):
        model, data, history = trained(loss=["reconstruction", {"name": "sparsity", "rho": rho, "weight": weight}])
        means[weight] = model.encode(data.test.x).mean(0)
        assert history[-1].train.reconstruction < history[0].train.reconstruction
    assert means[0.5].mean().item() == pytest.approx(rho, rel=0.2)
    assert ((means[0.5] - rho).abs() < rho / 2).all()
    assert means[0].mean().item() > 2 * rho


def test_l1_makes_codes_smaller() -> None:
    relu = {"name": "point", "latent": 100, "activation": "relu"}
    training = {"epochs": 5, "optimizer": {"name": "adam", "lr": 0.01}}
    active = {}
    for weight in (0.1, 0):
        model, data, _ = trained(
            loss=["reconstruction", {"name": "l1", "weight": weight}], sampler=relu, training=training
        )
        active[weight] = model.encode(data.test.x).abs().sum(1).mean().item()
    assert active[0.1] < active[0] / 2


def test_an_evaluation_has_a_reconstruction_and_no_bound() -> None:
    model, data, _ = trained(training={"epochs": 1})
    figures = evaluate(model, data)
    expected = -model(data.test.x).log_prob.mean().item()
    assert figures.reconstruction == pytest.approx(expected, rel=1e-5)
    assert (figures.elbo, figures.kl, figures.bits_per_dim, figures.kl_per_latent) == (None,) * 4
    assert figures.latents == 100


@pytest.mark.usefixtures("bare")
def test_the_command_line_encodes_and_refuses_to_sample(tmp_path: Any, cli: Callable[..., Any]) -> None:
    losses = ["reconstruction", {"name": "sparsity", "rho": 0.1}]
    done = run(parts(loss=losses, training={"epochs": 1}), out=tmp_path / "run")
    answer = cli("encode", tmp_path / "run", "--out", tmp_path / "z.npz")
    assert answer.code == 0
    in_order = done.data.test.x[done.data.rows["test"].argsort()]
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "z.npz")["z"]), done.model.encode(in_order))
    answer = cli("sample", tmp_path / "run", "--out", tmp_path / "x.npy")
    assert answer.code == 2
    assert answer.err.startswith("error: sampler 'point' has no prior, so an autoencoder cannot generate")
    assert not (tmp_path / "x.npy").exists()
    lines = [json.loads(line) for line in done.directory.metrics.read_text().splitlines()]
    assert set(lines[-1]["validation"]["terms"]) == {"reconstruction", "sparsity"}
    assert lines[-1]["train"]["elbo"] is None
