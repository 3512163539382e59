"""Vector quantization: codes by brute force, codebooks against k-means, and models of codes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from genkit.errors import ComponentError
from genkit.interfaces import CodeSampler, Schema
from genkit.model.model import Model
from genkit.parallel.draws import Rows, adding_by, taking
from genkit.runs.opening import as_config, prepare
from genkit.runs.running import resume, run
from genkit.training.epochs import fit
from genkit.training.seeds import own_random_state
from genkit.training.trainer import Trainer
from genkit_codes import VQSampler
from genkit_codes.codebook import Codebook
from tests.models import built

VQ = {"name": "vq", "size": 5, "latent": 3}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def made(**changes: Any) -> Model:
    return built((4,), **{"sampler": VQ, "loss": ["reconstruction", "commitment"], **changes})


def codebook(size: int = 5, latent: int = 3, **options: Any) -> Codebook:
    return Codebook(VQSampler.Config(size=size, latent=latent, **options))


def nearest_by_brute_force(vectors: Tensor, codes: Tensor) -> list[int]:
    distances = [[float((v.double() - c.double()).square().sum()) for c in codes] for v in vectors]
    return [row.index(min(row)) for row in distances]


def test_a_vector_becomes_its_nearest_code() -> None:
    book, vectors = codebook(size=40), torch.randn(200, 3)
    assert book.nearest(vectors).tolist() == nearest_by_brute_force(vectors, book.codes)


@pytest.mark.parametrize(
    ("features", "positions", "latent_shape", "places"),
    [((7,), 1, (1, 3), (1,)), ((7,), 4, (4, 3), (4,)), ((6, 7), 1, (6, 3), (6,)), ((7, 2, 4), 1, (3, 2, 4), (2, 4))],
)
def test_latents_have_the_places_of_the_features(features: Any, positions: int, latent_shape: Any, places: Any) -> None:
    sampler = VQSampler(VQSampler.Config(size=9, latent=3, positions=positions), features)
    x = torch.randn(5, *features)
    latent = sampler(x, 2)
    assert (sampler.latent_shape, sampler.positions) == (latent_shape, places)
    assert latent.z.shape == (2, 5, *latent_shape)
    assert torch.equal(latent.z[0], latent.mean)
    indices = sampler.indices(latent.z)
    assert torch.equal(indices, latent.extra["indices"].expand(2, 5, *places))
    assert torch.equal(sampler.embed(indices), latent.z)
    assert indices.dtype == torch.int64
    flat = sampler.layout.codes(latent.mean).reshape(-1, 3)
    assert {tuple(row) for row in flat.tolist()} <= {tuple(row) for row in sampler.codebook.codes.tolist()}


def test_a_map_is_read_as_by_a_convolution_of_one_place() -> None:
    sampler, x = VQSampler(VQSampler.Config(size=9, latent=3), (7, 2, 4)), torch.randn(5, 7, 2, 4)
    head = sampler.layout.head
    convolved = torch.conv2d(x, head.weight[:, :, None, None], head.bias)
    torch.testing.assert_close(sampler.layout.shaped(sampler.layout(x)), convolved)


def test_the_kl_to_the_uniform_prior_is_the_number_of_positions_times_the_log_of_the_codes() -> None:
    sampler = VQSampler(VQSampler.Config(size=9, latent=3), (7, 2, 4))
    latent = sampler(torch.randn(5, 7, 2, 4), 2)
    assert latent.kl is not None
    assert latent.log_ratio is not None
    assert latent.kl.shape == (5, 8)
    torch.testing.assert_close(latent.kl.sum(1), torch.full((5,), 8 * math.log(9)))
    torch.testing.assert_close(latent.log_ratio, latent.kl.sum(1).expand(2, 5))
    assert not latent.log_q.any()


def test_the_own_prior_draws_each_code_alike() -> None:
    sampler = VQSampler(VQSampler.Config(size=5, latent=3), (7, 2, 4))
    indices = sampler.indices(sampler.prior(2000)).flatten()
    assert torch.bincount(indices, minlength=5) / len(indices) == pytest.approx([0.2] * 5, abs=0.015)


def test_gradients_go_straight_through_the_codes() -> None:
    sampler, x = VQSampler(VQSampler.Config(size=9, latent=3), (7,)), torch.randn(5, 7)
    slope = torch.randn(1, 5, 1, 3)
    (sampler(x).z * slope).sum().backward()
    straight = torch.einsum("boc,bi->oi", slope[0].transpose(1, 2), x)
    torch.testing.assert_close(sampler.layout.head.weight.grad, straight)


# Codebooks


def test_without_memory_a_step_is_one_of_k_means() -> None:
    book, vectors = codebook(decay=0.0, revive=0.0), torch.randn(1, 300, 3)
    book.is_started.fill_(1)
    for _ in range(6):
        indices = book.nearest(vectors)
        book.observe(vectors, indices)
        book.update()
        means = torch.stack([vectors[indices == code].mean(0) for code in range(5)])
        torch.testing.assert_close(book.codes, means, rtol=1e-4, atol=1e-4)


def test_running_means_are_those_of_the_formula() -> None:
    book = codebook(decay=0.9, revive=0.0)
    book.is_started.fill_(1)
    usage, totals = book.usage.double(), book.totals.double()
    for _ in range(20):
        vectors = torch.randn(8, 6, 3)
        indices = book.nearest(vectors)
        book.observe(vectors, indices)
        book.update()
        for code in range(5):
            own = vectors[indices == code].double()
            usage[code] = 0.9 * usage[code] + 0.1 * len(own)
            totals[code] = 0.9 * totals[code] + 0.1 * own.sum(0)
        smoothed = (usage + 1e-5) / (usage.sum() + 5e-5) * usage.sum()
        torch.testing.assert_close(book.codes.double(), totals / smoothed.unsqueeze(1), rtol=1e-4, atol=1e-5)


def test_the_batches_of_one_step_count_together() -> None:
    once, apart = codebook(), codebook()
    apart.load_state_dict(once.state_dict())
    for book in (once, apart):
        book.is_started.fill_(1)
    vectors = torch.randn(6, 4, 3)
    indices = once.nearest(vectors)
    once.observe(vectors, indices)
    apart.observe(vectors[:2], indices[:2])
    apart.observe(vectors[2:], indices[2:])
    once.update()
    apart.update()
    torch.testing.assert_close(once.codes, apart.codes)


def test_a_step_without_data_changes_nothing() -> None:
    book = codebook()
    before = {name: value.clone() for name, value in book.state_dict().items()}
    book.update()
    assert all(torch.equal(value, before[name]) for name, value in book.state_dict().items())


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_codes_start_as_vectors_of_the_first_batch_and_dead_ones_become_such(update: str) -> None:
    book = codebook(update=update, decay=0.5)
    vectors = torch.randn(8, 6, 3) + 100
    book.observe(vectors, book.nearest(vectors))
    book.update()
    rows = {tuple(row) for row in vectors.flatten(0, 1).tolist()}
    assert {tuple(row) for row in book.codes.tolist()} <= rows
    with torch.no_grad():
        book.codes[2] = -1000.0
    for _ in range(10):
        vectors = torch.randn(8, 6, 3) + 100
        book.observe(vectors, book.nearest(vectors))
        book.update()
    assert float(book.codes.detach().amin()) > 90


def test_processes_that_share_a_batch_count_all_of_it() -> None:
    whole, own = codebook(), codebook()
    own.load_state_dict(whole.state_dict())
    vectors = torch.randn(5, 4, 3)
    indices = whole.nearest(vectors)
    torch.manual_seed(3)
    whole.observe(vectors, indices)
    torch.manual_seed(3)
    with taking(Rows(2, 5, 5)), adding_by(lambda summand: vectors if summand.is_floating_point() else indices):
        own.observe(vectors[2:], indices[2:])
    whole.update()
    own.update()
    assert all(torch.equal(value, own.state_dict()[name]) for name, value in whole.state_dict().items())


# The commitment term


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_the_commitment_is_the_squared_distance_of_vectors_and_codes(update: str) -> None:
    model = made(sampler={**VQ, "update": update, "positions": 2}, loss=["reconstruction", "commitment"])
    passed = model(torch.rand(6, 4))
    vectors = model.sampler.layout(model.encoder(passed.x))
    codes = model.sampler.codebook.codes[passed.latent.extra["indices"]]
    distances = (vectors - codes).square().sum((1, 2))
    term = model.losses["commitment"](passed)
    torch.testing.assert_close(term, distances * (1 if update == "ema" else 5))
    term.sum().backward()
    (slope,) = torch.autograd.grad(distances.sum(), model.sampler.layout.head.weight)
    torch.testing.assert_close(model.sampler.layout.head.weight.grad, slope)
    if update == "gradient":
        assert model.sampler.codebook.codes.grad.any()


def test_the_commitment_needs_vectors_and_codes() -> None:
    with pytest.raises(
        ComponentError, match="loss 'commitment' reads the vectors of codes, and the sampler gives none"
    ):
        made(sampler="gaussian")


# Models


def test_a_codebook_that_is_larger_than_the_data_is_refused() -> None:
    with pytest.raises(
        ComponentError,
        match="sampler 'vq' refuses the model: a codebook of 5 is larger than the training data, 2 with 2 codes each",
    ):
        built(Schema((4,), training_data=2), sampler={**VQ, "positions": 2}, loss=["reconstruction", "commitment"])
    assert built(Schema((4,), training_data=3), sampler={**VQ, "positions": 2}, loss=["reconstruction"])


def test_positions_are_for_features_of_one_axis() -> None:
    with pytest.raises(ComponentError, match=r"positions: 3 is for features of one axis; features \(7, 2, 4\) have"):
        VQSampler(VQSampler.Config(positions=3), (7, 2, 4))


@pytest.mark.parametrize("options", [{"size": 1}, {"latent": 0}, {"decay": 1}, {"revive": 1}, {"positions": 0}])
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        VQSampler.Config.model_validate(options)


DIGITS: dict[str, Any] = {
    "data": "digits",
    "encoder": {"name": "mlp", "hidden": [64]},
    "sampler": {"name": "vq", "size": 16, "latent": 4, "positions": 8},
    "decoder": {"name": "mlp", "hidden": [64]},
    "likelihood": "bernoulli",
    "loss": ["reconstruction", {"name": "commitment", "weight": 0.25}],
    "training": {"epochs": 2, "batch_size": 64},
}


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_trained_on_digits_it_reconstructs_them_with_most_of_its_codes(update: str) -> None:
    sampler = {**DIGITS["sampler"], "update": update}
    config = as_config({**DIGITS, "sampler": sampler, "training": {"epochs": 15, "batch_size": 64}})
    data, model = prepare(config)
    with own_random_state():
        history = list(fit(Trainer(model, config.training), data, seed=0))
    assert history[-1].train.reconstruction < 24.5
    assert isinstance(model.sampler, CodeSampler)
    indices = model.sampler.indices(model.encode(data.test.x))
    shares = torch.bincount(indices.flatten(), minlength=16) / indices.numel()
    assert float(torch.special.entr(shares).sum().exp()) > 8


@pytest.mark.usefixtures("bare")
def test_interrupted_and_resumed_it_ends_as_if_never_interrupted(tmp_path: Any) -> None:
    values = {**DIGITS, "training": {"epochs": 2, "batch_size": 256}}
    whole = run(values, out=tmp_path / "whole")
    run({**values, "training": {**values["training"], "epochs": 1}}, out=tmp_path / "half")
    again = resume(tmp_path / "half", epochs=2)
    ours, theirs = (each.model.state_dict() for each in (whole, again))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert float(whole.model.sampler.codebook.is_started) == 1
