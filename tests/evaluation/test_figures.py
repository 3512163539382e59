from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from genkit.data.dataset import Dataset
from genkit.errors import DataError, GenkitWarning, TrainingError
from genkit.evaluation.figures import ACTIVE, evaluate
from genkit.interfaces import Split
from genkit.model.model import Model
from tests.models import LINEAR, built

NOISE = 0.6
W = torch.tensor([[1.0, 0.5], [1.0, -0.5], [-0.8, 1.0], [0.8, 1.0]])  # (4 values, 2 latents), orthogonal columns
B = torch.tensor([0.3, -1.0, 0.0, 2.0])


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(31)
        yield


def linear(likelihood: Any, latent: int = 2, values: int = 4) -> Model:
    """A model whose posterior and decoder are one affine map each."""
    return built((values,), **LINEAR, sampler={"name": "gaussian", "latent": latent}, likelihood=likelihood)


def set_to(layer: Any, weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def principal_components() -> Model:
    """p(z) = N(0, I), p(x|z) = N(Wz + b, s² I), with the exact posterior (Tipping & Bishop 1999, equation 7)."""
    model = linear({"name": "gaussian", "scale": NOISE})
    m = W.T @ W + NOISE**2 * torch.eye(2)
    assert m[0, 1] == 0  # else the posterior would not factorize
    set_to(model.decoder.layers[1], W, B)
    back = m.inverse() @ W.T
    set_to(model.sampler.mean, back, -back @ B)
    set_to(model.sampler.log_var, torch.zeros(2, 4), (NOISE**2 / m.diagonal()).log())
    return model


def marginal() -> MultivariateNormal:
    """p(x) of the same model, with z integrated out."""
    return MultivariateNormal(B, W @ W.T + NOISE**2 * torch.eye(4))


def dataset(x: Tensor, validation: Tensor | None = None, binarize: bool = False) -> Dataset:
    """Training data of 3 zeros, and `x` as the test split."""
    held_out = None if validation is None else Split(validation, None)
    return Dataset(Split(torch.zeros(3, *x.shape[1:]), None), held_out, Split(x, None), None, binarize)


def test_with_the_exact_posterior_every_draw_gives_the_log_likelihood() -> None:
    x = marginal().sample((20,))
    passed = principal_components()(x, draws=5)
    found = passed.log_prob - passed.latent.log_ratio
    torch.testing.assert_close(found, marginal().log_prob(x).expand(5, 20), rtol=0, atol=1e-4)


def test_the_elbo_with_the_exact_posterior_is_the_log_likelihood() -> None:
    x, draws = marginal().sample((40,)), 2000
    model = principal_components()
    found = evaluate(model, dataset(x), draws=draws)
    error = model(x, draws=draws).log_prob.mean(1).std().item() / math.sqrt(draws)
    assert found.elbo == pytest.approx(marginal().log_prob(x).mean().item(), abs=5 * error)
    assert 5 * error < 0.1


def test_the_elbo_with_another_posterior_is_below_the_log_likelihood_by_its_divergence() -> None:
    x, draws, model = marginal().sample((40,)), 2000, principal_components()
    with torch.no_grad():
        model.sampler.log_var.bias.add_(math.log(2))
    gap = 2 * (2 - 1 - math.log(2)) / 2  # KL(N(m, 2 v) || N(m, v)) of two dimensions
    error = model(x, draws=draws).log_prob.mean(1).std().item() / math.sqrt(draws)
    assert evaluate(model, dataset(x), draws=draws).elbo == pytest.approx(
        marginal().log_prob(x).mean().item() - gap, abs=5 * error
    )
    assert 5 * error < gap


def test_the_parts_add_up() -> None:
    found = evaluate(principal_components(), dataset(torch.randn(30, 4)), draws=3)
    assert found.elbo == pytest.approx(-found.reconstruction - found.kl)
    assert found.bits_per_dim == pytest.approx(-found.elbo / math.log(2) / 4)
    assert len(found.kl_per_latent) == found.latents == 2
    assert sum(found.kl_per_latent) == pytest.approx(found.kl)


def test_the_figures_are_means_over_the_data() -> None:
    model = linear("bernoulli", latent=1, values=2)
    set_to(model.sampler.mean, torch.tensor([[2.0, 0.0]]), torch.zeros(1))
    set_to(model.sampler.log_var, torch.zeros(1, 2), torch.zeros(1))
    set_to(model.decoder.layers[1], torch.zeros(2, 1), torch.tensor([0.0, 50.0]))
    found = evaluate(model, dataset(torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])))
    assert found.reconstruction == pytest.approx(math.log(2))  # a coin for the first value, certainty for the second
    assert found.kl == pytest.approx((2 + 0 + 2) / 3)  # mean²/2
    assert found.active_units == 1


def test_active_units_are_those_whose_mean_varies_enough() -> None:
    model = linear("gaussian", latent=3, values=3)
    set_to(model.sampler.mean, torch.eye(3), torch.tensor([0.0, 0.0, 5.0]))
    spread = torch.tensor([1.1, 0.9, 0.0]) * math.sqrt(ACTIVE)
    x = torch.stack([spread, -spread])  # variances of 1.21, 0.81 and 0 times the threshold
    found = evaluate(model, dataset(x))
    assert (found.active_units, found.latents) == (1, 3)


def test_one_datum_has_no_active_units() -> None:
    assert evaluate(principal_components(), dataset(torch.randn(1, 4))).active_units == 0


@pytest.mark.parametrize("binarize", [False, True])
def test_the_same_seed_gives_the_same_figures_and_another_does_not(binarize: bool) -> None:
    model, data = principal_components(), dataset(torch.rand(30, 4), binarize=binarize)
    first = evaluate(model, data, seed=1)
    torch.rand(5)
    assert evaluate(model, data, seed=1) == first
    assert evaluate(model, data, seed=2) != first


def test_evaluation_leaves_the_random_state_and_the_mode_as_they_were() -> None:
    model, data = principal_components().train(), dataset(torch.rand(30, 4), binarize=True)
    before = torch.get_rng_state()
    evaluate(model, data)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training


def test_many_data_are_streamed_to_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = principal_components(), dataset(torch.randn(10, 4))
    with torch.no_grad():
        model.sampler.log_var.bias.fill_(-60)  # the draws are the means
    at_once, seen = evaluate(model, data, draws=2).to_json(), []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    monkeypatch.setattr("genkit.evaluation.figures.MOST", 8)
    streamed = evaluate(model, data, draws=2).to_json()
    assert seen == [4, 4, 2]
    assert streamed.pop("kl_per_latent") == pytest.approx(at_once.pop("kl_per_latent"))
    assert streamed.pop("split") == at_once.pop("split")
    assert streamed.pop("dispersion") == pytest.approx(at_once.pop("dispersion"), rel=1)  # other draws from p(x|z)
    assert streamed == pytest.approx(at_once)


@pytest.mark.parametrize(("split", "count"), [("train", 3), ("validation", 5), ("test", 7), ("all", 15)])
def test_the_split_is_chosen_by_name(split: str, count: int) -> None:
    found = evaluate(principal_components(), dataset(torch.randn(7, 4), torch.randn(5, 4)), split)
    assert (found.split, found.count) == (split, count)


def test_the_split_all_is_the_mean_of_the_others_by_their_sizes() -> None:
    model, data = principal_components(), dataset(torch.randn(7, 4), torch.randn(5, 4))
    parts = [evaluate(model, data, name) for name in ("train", "validation", "test")]
    whole = evaluate(model, data, "all").kl
    assert whole == pytest.approx(sum(part.kl * part.count for part in parts) / 15)


def test_the_test_split_is_the_usual_one() -> None:
    assert evaluate(principal_components(), dataset(torch.randn(7, 4))).split == "test"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "validation"}, "the validation split is empty"),
        ({"split": "tset"}, "there is no split 'tset'; choose from train, validation, test, all"),
        ({"draws": 0}, "needs at least one draw"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(principal_components(), dataset(torch.randn(7, 4)), **options)


def test_data_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"the model takes data of shape \(N, 4\), not \(7, 5\)"):
        evaluate(principal_components(), dataset(torch.randn(7, 5)))


def test_data_that_have_no_density_are_refused() -> None:
    whole = torch.randint(0, 256, (9, 4))
    with pytest.raises(DataError, match=r"likelihood 'bernoulli' takes values from 0 to 1, and the data go from"):
        evaluate(linear("bernoulli"), dataset(whole))


def test_data_far_from_those_of_training_are_warned_of() -> None:
    model = principal_components()
    model.data = dataset(torch.rand(9, 4))._replace(train=Split(torch.rand(9, 4), None)).signature("digits")
    with pytest.warns(GenkitWarning, match="far beyond those that the model was trained on"):
        evaluate(model, dataset(255 * torch.rand(9, 4)))


def test_figures_that_are_not_finite_are_an_error() -> None:
    model = principal_components()
    set_to(model.decoder.layers[1], W * float("nan"), B)
    with pytest.raises(TrainingError, match=r"figures of the test split are not finite: reconstruction nan"):
        evaluate(model, dataset(torch.rand(9, 4)))


def test_bytes_stand_for_shares_of_255() -> None:
    model, raw = principal_components(), torch.randint(0, 256, (9, 4), dtype=torch.uint8)
    assert evaluate(model, dataset(raw)) == evaluate(model, dataset(raw.float() / 255))


def test_without_a_kl_there_is_no_elbo(monkeypatch: pytest.MonkeyPatch) -> None:
    model = principal_components()
    whole = model.sampler.forward
    monkeypatch.setattr(model.sampler, "forward", lambda *given: whole(*given)._replace(kl=None, log_ratio=None))
    found = evaluate(model, dataset(torch.randn(7, 4)))
    assert (found.elbo, found.kl, found.bits_per_dim, found.kl_per_latent) == (None, None, None, None)
    assert math.isfinite(found.reconstruction)


def test_the_figures_go_through_json() -> None:
    found = evaluate(principal_components(), dataset(torch.randn(7, 4)))
    values = json.loads(json.dumps(found.to_json()))
    assert values["elbo"] == found.elbo
    assert values["kl_per_latent"] == found.kl_per_latent
    assert (values["split"], values["count"], values["draws"]) == ("test", 7, 1)


@pytest.mark.parametrize(("scale", "factor"), [(NOISE, 1.0), (10 * NOISE, 0.01), (NOISE / 10, 100.0)])
def test_the_dispersion_is_the_residuals_variance_over_the_likelihoods(scale: float, factor: float) -> None:
    model = linear({"name": "gaussian", "scale": scale})
    set_to(model.decoder.layers[1], torch.zeros(4, 2), B)
    x = B + NOISE * torch.randn(20_000, 4)
    data = Dataset(Split(x, None), None, Split(x, None), None, binarize=False)
    dispersion = evaluate(model, data).dispersion
    assert dispersion is not None
    assert dispersion == pytest.approx(factor, rel=0.03)
