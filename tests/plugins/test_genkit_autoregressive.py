"""The autoregressive decoder: its density sums to one, and step by step it draws from it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from genkit.errors import ComponentError
from genkit.evaluation.estimates import estimate
from genkit.interfaces import Schema, Side
from genkit.model.model import Model
from genkit.model.summary import describe
from genkit.runs.running import resume, run
from genkit.sharing.export import export
from genkit_autoregressive import CausalDecoder
from tests.models import built

DRAWS = 20_000


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


def made(shape: tuple[int, ...], likelihood: Any = "bernoulli", **options: Any) -> Model:
    decoder = {"name": "autoregressive", "channels": 8, **options}
    model = built(shape, decoder=decoder, likelihood=likelihood)
    for parameter in model.decoder.parameters():
        parameter.data.add_(0.4 * torch.randn_like(parameter))
    return model.eval()


def every(shape: tuple[int, ...], values: int = 2) -> Tensor:
    """All data of a shape with the values 0, 1, ..."""
    listed = itertools.product(range(values), repeat=math.prod(shape))
    return torch.tensor(list(listed), dtype=torch.float32).view(-1, *shape)


def log_probs(model: Model, x: Tensor, z: Tensor) -> Tensor:
    """log p(x|z) of data (N, *shape) at one z (*latent_shape): (N,)."""
    beside = model.beside({})
    params = model.params(z.expand(len(x), -1), beside, x=x).unsqueeze(0)
    return model.log_prob(x, params, beside)[0]


CASES = [
    ((1, 3, 3), "bernoulli", 2),
    ((8, 1), "bernoulli", 2),
    ((3, 2), {"name": "categorical", "levels": 3}, 3),
    ((5,), {"name": "categorical", "levels": 4}, 4),
    ((2, 2, 2), {"name": "discretized_logistic", "levels": 2, "components": 2}, 2),
]


@pytest.mark.parametrize(("shape", "likelihood", "values"), CASES)
@torch.no_grad()
def test_the_density_of_all_data_sums_to_one_and_draws_in_steps_follow_it(
    shape: tuple[int, ...], likelihood: Any, values: int
) -> None:
    model, x, z = made(shape, likelihood), every(shape, values), torch.randn(2)
    masses = log_probs(model, x, z).double().exp()
    assert masses.sum().item() == pytest.approx(1, abs=1e-5)
    drawn = model.decode(z.expand(DRAWS, 2), noise=True)
    weights = values ** torch.arange(math.prod(shape)).flip(0)
    counts = (drawn.flatten(1).long() @ weights).bincount(minlength=len(x))
    expected = masses * DRAWS
    common = expected > 5
    chi_squared = ((counts - expected).square() / expected)[common].sum()
    degrees = int(common.sum())
    assert degrees > 10
    assert chi_squared < degrees + 6 * math.sqrt(2 * degrees)


@torch.no_grad()
def test_the_log_likelihood_is_the_sum_of_that_of_each_step_given_those_before() -> None:
    model, z = made((1, 3, 3)), torch.randn(2)
    x = torch.rand(1, 1, 3, 3).round()
    total, seen = 0.0, torch.zeros_like(x)
    for row, column in itertools.product(range(3), range(3)):
        logit = model.params(z.view(1, 2), model.beside({}), x=seen)[0, 0, row, column]
        total += float(x[0, 0, row, column] * logit - torch.nn.functional.softplus(logit))
        seen[0, 0, row, column] = x[0, 0, row, column]
    assert float(log_probs(model, x, z)) == pytest.approx(total, abs=1e-5)


@torch.no_grad()
def test_the_elbo_lies_below_the_exact_likelihood_and_the_bound_reaches_it() -> None:
    model, x = made((6,)), every((6,))
    for head in (model.sampler.mean, model.sampler.log_var):
        head.weight.mul_(0.2)
    model.sampler.log_var.bias.fill_(0.4)  # wider than the prior, so that few draws are enough
    z = torch.randn(20_000, 2)  # the prior
    exact = torch.stack([log_probs(model, row.expand(len(z), 6), z) for row in x[::7]])  # p(x|z) of each
    exact = exact.logsumexp(1) - math.log(len(z))
    bounds = estimate(lambda draws: model(x[::7], draws), 2000)
    assert bounds.negative_elbo is not None
    assert bounds.bound is not None
    assert (bounds.negative_elbo > -exact - 0.05).all()
    torch.testing.assert_close(bounds.bound, -exact.to(bounds.bound), atol=0.05, rtol=0)


@torch.no_grad()
def test_without_noise_each_step_is_the_mean_given_the_means_before() -> None:
    model, z = made((4, 2), "gaussian"), torch.randn(3, 2)
    x = torch.zeros(3, 4, 2)
    for step in range(4):
        x[:, step] = model.params(z, model.beside({}), x=x)[:, step]
    torch.testing.assert_close(model.decode(z), x)
    assert torch.equal(model.decode(z), model.decode(z))
    torch.testing.assert_close(model.reconstruct(x), model.decode(model.encode(x)))


def test_several_draws_read_the_data_each() -> None:
    model = made((4, 2), "gaussian")
    x = torch.randn(3, 4, 2)
    passed = model(x, 5)
    assert passed.params.shape == (5, 3, 4, 2)
    for k, b in itertools.product(range(5), range(3)):
        one = model.params(passed.latent.z[k, b : b + 1], model.beside({}), x=x[b : b + 1])
        torch.testing.assert_close(passed.params[k, b], one[0])


def test_a_condition_and_a_mask_go_with_steps_and_its_layers_are_described() -> None:
    schema = Schema((6, 2), {"labels": Side((), 3), "mask": Side((6,))})
    model = built(schema, decoder={"name": "autoregressive", "channels": 8}, condition="labels")
    mask = torch.tensor([[1.0] * 4 + [0.0] * 2, [1.0] * 6])
    x, labels = torch.randn(2, 6, 2), torch.tensor([0, 2])
    side = {"mask": mask, "labels": labels}
    other = torch.where(mask.unsqueeze(2) > 0, x, 7.0)
    torch.manual_seed(0)
    once = model(x, 3, side).log_prob
    torch.manual_seed(0)
    torch.testing.assert_close(model(other, 3, side).log_prob, once)
    z = torch.zeros(2, 2)
    assert not torch.equal(model.decode(z, **side)[1], model.decode(z, mask=mask, labels=1)[1])
    assert model.decode(z, **side)[0, 4:].isnan().all()
    assert sum(row.parameters for row in describe(model)) == sum(each.numel() for each in model.parameters())


def test_steps_that_are_hidden_in_training_are_so_from_the_others_alone() -> None:
    decoder = CausalDecoder(CausalDecoder.Config(channels=8, hidden=1.0), (2,), (5, 3))
    z, x = torch.randn(4, 2), torch.randn(4, 5, 3)
    assert torch.equal(decoder.train()(z, x), decoder(z, -x))
    assert not torch.equal(decoder.eval()(z, x), decoder(z, -x))


@pytest.mark.parametrize(
    ("out_shape", "shape", "message"),
    [
        ((5, 6), (4, 6), r"not other steps, as \(5, 6\) has"),
        ((2, 4, 4, 4), (1, 4, 4, 4), "takes vectors"),
        ((7,), (3,), "not other steps"),
    ],
)
def test_parameters_of_other_steps_are_refused(
    out_shape: tuple[int, ...], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ComponentError, match=message):
        CausalDecoder(CausalDecoder.Config(), (2,), out_shape, shape)


def test_a_term_that_needs_generated_data_is_refused() -> None:
    with pytest.raises(ComponentError, match="decoder 'autoregressive' generates them value by value"):
        built(
            (4, 2),
            decoder="autoregressive",
            loss=["reconstruction", "kl", {"name": "adversarial", "critic": {"name": "mlp", "hidden": [4]}}],
        )


RHO = 0.9


def autoregression(count: int) -> Tensor:
    """Series (N, 8, 1) with x_t = ρ x_(t−1) + e_t, of variance 1 at each step."""
    noise = torch.randn(count, 8, 1)
    steps = [noise[:, 0]]
    for step in range(1, 8):
        steps.append(RHO * steps[-1] + math.sqrt(1 - RHO**2) * noise[:, step])
    return torch.stack(steps, 1)


def config(path: Any) -> dict[str, Any]:
    return {
        "data": {"name": "arrays", "path": str(path)},
        "encoder": {"name": "tcn", "channels": 8},
        "sampler": {"name": "gaussian", "latent": 2},
        "decoder": {"name": "autoregressive", "channels": 16, "blocks": 1},
        "likelihood": {"name": "gaussian", "scale": "per_value"},
        "loss": ["reconstruction", "kl"],
        "training": {"epochs": 12, "batch_size": 64, "compile": False, "optimizer": {"name": "adam", "lr": 5e-3}},
    }


@pytest.mark.slow
def test_the_elbo_of_an_autoregression_is_its_exact_likelihood(bare: None, tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", autoregression(3000).numpy())
    trained = run(config(tmp_path / "x.npy"), out=tmp_path / "run")
    assert trained.data.test is not None
    x = trained.data.test.x
    first, rest = Normal(0.0, 1.0).log_prob(x[:, 0]), Normal(RHO * x[:, :-1], math.sqrt(1 - RHO**2)).log_prob(x[:, 1:])
    exact = float(first.sum(1).mean() + rest.sum((1, 2)).mean())
    assert trained.evaluation.elbo == pytest.approx(exact, abs=0.25)
    errors = (x - trained.model.reconstruct(x)).square().sum()
    unexplained = float(errors / (x - x.mean(0)).square().sum())
    assert trained.evaluation.unexplained == pytest.approx(unexplained, rel=1e-4)
    independent = float(Normal(0.0, 1.0).log_prob(x).sum((1, 2)).mean())
    assert independent < exact - 5
    drawn = trained.model.sample(4000, noise=True)[..., 0]
    torch.testing.assert_close(torch.corrcoef(drawn.T)[0, :3], torch.tensor([1.0, RHO, RHO**2]), atol=0.08, rtol=0)


@pytest.mark.slow
def test_a_run_resumes_bit_for_bit_and_is_exported(bare: None, tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", autoregression(200).numpy())
    hidden = {**config(tmp_path / "x.npy"), "name": "hidden"}
    hidden["decoder"]["hidden"] = 0.3
    whole = run(hidden, ["training.epochs=4"], out=tmp_path / "whole")
    run(hidden, ["training.epochs=2"], out=tmp_path / "half")
    resumed = resume(tmp_path / "half", 4)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert export(whole.model, tmp_path / "model.pt2", "decoder", "torch-export").difference < 1e-5
