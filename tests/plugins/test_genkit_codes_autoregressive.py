"""The autoregressive prior: its probabilities by enumeration, and the entropy of a Markov chain."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from genkit.errors import ComponentError
from genkit.model.model import Model
from genkit.runs.running import resume, run
from genkit_codes import AutoregressivePrior
from tests.models import built

SMALL = {"name": "autoregressive", "width": 16, "heads": 2}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def made(sampler: dict[str, Any], **changes: Any) -> Model:
    return built((4,), **{"sampler": sampler, "loss": ["reconstruction"], "prior": SMALL, **changes})


def stirred(model: Model) -> AutoregressivePrior:
    assert isinstance(model.prior, AutoregressivePrior)
    for parameter in model.prior.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.5)
    model.prior.is_fitted.fill_(1)
    model.eval()
    return model.prior


def all_maps(model: Model) -> Tensor:
    """Each way to choose the codes of a datum: (K^n, *positions)."""
    sampler = model.sampler
    count = math.prod(sampler.positions)
    every = torch.tensor(list(itertools.product(range(sampler.codebook_size), repeat=count)))
    return every.unflatten(1, sampler.positions)


@pytest.mark.parametrize(
    "sampler",
    [
        {"name": "vq", "size": 3, "latent": 2, "positions": 5},
        {"name": "fsq", "levels": [2, 3], "positions": 3},
        {"name": "rvq", "size": 3, "latent": 2, "levels": 2, "positions": 2},
    ],
    ids=lambda sampler: sampler["name"],
)
def test_the_probabilities_of_all_maps_add_up_to_one_and_are_those_of_the_draws(sampler: dict[str, Any]) -> None:
    model = made(sampler)
    prior, maps = stirred(model), all_maps(model)
    with torch.no_grad():
        p = prior.log_prob(model.sampler.embed(maps)).double().exp()
        drawn = model.sampler.indices(prior.sample(20_000)).flatten(1)
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    assert float(p.max()) > 3 * float(p.mean())
    size, n = model.sampler.codebook_size, drawn.shape[1]
    number = (drawn * size ** torch.arange(n - 1, -1, -1)).sum(1)
    shares = torch.bincount(number, minlength=len(p)) / 20_000
    assert torch.all((shares - p).abs() < 5 * (p / 20_000).sqrt() + 1e-4)


def test_a_code_depends_on_those_before_it_alone() -> None:
    model = made({"name": "vq", "size": 7, "latent": 2, "positions": 6})
    prior = stirred(model)
    one = torch.randint(7, (1, 6))
    for place in range(6):
        other = one.clone()
        other[0, place] = (other[0, place] + 1) % 7
        differs = (prior.network(one) != prior.network(other))[0]
        assert not differs[:place].any()
        assert differs[place:].all()


def chain(n: int, transitions: Tensor, count: int) -> Tensor:
    """Draws (n, count) from a Markov chain that starts uniformly."""
    states = [torch.randint(len(transitions), (n,))]
    for _ in range(count - 1):
        states.append(torch.multinomial(transitions[states[-1]], 1).squeeze(1))
    return torch.stack(states, 1)


def test_fitted_to_a_markov_chain_it_reaches_its_entropy() -> None:
    transitions = torch.tensor([[0.8, 0.15, 0.05], [0.1, 0.1, 0.8], [0.3, 0.6, 0.1]])
    model = made({"name": "fsq", "levels": [3], "positions": 6}, prior={**SMALL, "epochs": 6})
    assert isinstance(model.prior, AutoregressivePrior)
    model.prior.fit(model.sampler.embed(chain(4000, transitions, 6)))
    share, entropy = torch.full((3,), 1 / 3), math.log(3)
    for _ in range(5):
        entropy += float((share * torch.special.entr(transitions).sum(1)).sum())
        share = share @ transitions
    held_out = model.sampler.embed(chain(20_000, transitions, 6))
    with torch.no_grad():
        nats = -model.prior.log_prob(held_out)
    error = float(nats.std()) / math.sqrt(20_000)
    assert entropy - 4 * error < float(nats.mean()) < entropy + 0.08 < 6 * math.log(3) - 1


def test_once_it_is_fitted_the_kl_is_minus_its_log_probability() -> None:
    model = made({"name": "vq", "size": 4, "latent": 2, "positions": 3}, loss=["reconstruction", "kl"])
    x = torch.rand(5, 4)
    uniform = model.eval()(x).latent.divergence.sum(1)
    torch.testing.assert_close(uniform, torch.full((5,), 3 * math.log(4)))
    prior = stirred(model)
    latent = model(x).latent
    torch.testing.assert_close(latent.divergence.sum(1), -prior.log_prob(latent.mean))
    assert model.sample(3).shape == (3, 4)


def test_it_is_for_codes_alone_and_its_heads_divide_its_width() -> None:
    with pytest.raises(ComponentError, match=r"prior 'autoregressive' is a density on codes, and the latents of .*"):
        made({"name": "gaussian"})
    with pytest.raises(ValidationError, match="the number of heads must divide the width"):
        AutoregressivePrior.Config(width=10, heads=4)


@pytest.mark.usefixtures("bare")
def test_a_run_fits_it_at_its_end_and_a_resumed_run_in_the_same_way(tmp_path: Any) -> None:
    values = {
        "data": "digits",
        "encoder": {"name": "mlp", "hidden": [32]},
        "sampler": {"name": "fsq", "levels": [5, 3], "positions": 4},
        "prior": {**SMALL, "epochs": 3},
        "decoder": {"name": "mlp", "hidden": [32]},
        "likelihood": "bernoulli",
        "loss": ["reconstruction"],
    }
    training = {"batch_size": 128, "compile": False}
    whole = run({**values, "training": {**training, "epochs": 4}}, out=tmp_path / "whole")
    run({**values, "training": {**training, "epochs": 2}}, out=tmp_path / "half")
    again = resume(tmp_path / "half", epochs=4)
    ours, theirs = (each.model.state_dict() for each in (whole, again))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert float(whole.model.prior.is_fitted) == 1
    kl = whole.evaluation.kl
    assert kl is not None
    assert 0 < kl < 0.9 * 4 * math.log(15)
