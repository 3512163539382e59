"""Codes without a codebook, residual codes, the entropy of codes, and the uniform prior: all by enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Categorical

from genkit.data.dataset import Dataset
from genkit.errors import ComponentError
from genkit.evaluation.metrics import lack
from genkit.interfaces import MetricData, Split
from genkit.model.model import Model
from genkit.runs.metrics import unasked
from genkit_codes import CodeUsage, FSQSampler, LFQSampler, RVQSampler
from tests.models import built


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def made(**changes: Any) -> Model:
    return built((4,), **{"sampler": "fsq", "loss": ["reconstruction"], **changes})


# Finite scalar quantization


@pytest.mark.parametrize("levels", [(3,), (2, 2), (4, 5), (8, 5, 3), (7, 2, 6)])
def test_all_codes_of_the_grid_have_an_index_of_their_own(levels: tuple[int, ...]) -> None:
    sampler = FSQSampler(FSQSampler.Config(levels=levels), (6,))
    assert sampler.codebook_size == math.prod(levels)
    indices = torch.arange(sampler.codebook_size).unsqueeze(1)
    codes = sampler.embed(indices)
    grid = [[(digit - count // 2) / (count // 2) for digit in range(count)] for count in levels]
    assert {tuple(round(n, 5) for n in row[0]) for row in codes.tolist()} == {
        tuple(round(n, 5) for n in row) for row in itertools.product(*grid)
    }
    assert torch.equal(sampler.indices(codes), indices)


@pytest.mark.parametrize("levels", [(3,), (8, 5, 3), (7, 2, 6)])
def test_every_code_of_the_grid_is_reached_and_no_other(levels: tuple[int, ...]) -> None:
    sampler = FSQSampler(FSQSampler.Config(levels=levels), (len(levels),))
    torch.nn.init.eye_(sampler.layout.head.weight)
    torch.nn.init.zeros_(sampler.layout.head.bias)
    latent = sampler(torch.randn(20_000, len(levels)) * 2)
    assert latent.extra["indices"].unique().tolist() == list(range(sampler.codebook_size))
    assert torch.equal(sampler.embed(latent.extra["indices"]), latent.mean)
    assert torch.equal(sampler.indices(latent.mean), latent.extra["indices"])
    assert latent.mean.abs().max().item() == 1
    assert not sampler(torch.zeros(1, len(levels))).mean.any()


def test_each_value_becomes_the_nearest_level_of_its_bounded_value() -> None:
    sampler = FSQSampler(FSQSampler.Config(levels=(8, 5)), (2,))
    vectors = torch.randn(500, 1, 2) * 3
    quantized = sampler.quantize(vectors)
    for d, count in enumerate((8, 5)):
        levels = torch.arange(count) / (count // 2) - 1
        bounded = quantized.through[:, 0, d]
        nearest = levels[(bounded.unsqueeze(1) - levels).abs().argmin(1)]
        torch.testing.assert_close(quantized.codes[:, 0, d], nearest)
        assert float(bounded.min()) >= levels[0] - 0.51 / (count // 2)
        assert float(bounded.max()) <= levels[-1] + 0.51 / (count // 2)


def test_gradients_pass_the_rounding_and_not_the_bounds() -> None:
    sampler, x = FSQSampler(FSQSampler.Config(levels=(8, 5)), (6,)), torch.randn(5, 6)
    slope = torch.randn(5, 1, 2)
    (sampler(x).z[0] * slope).sum().backward()
    bounded = sampler.bounded(sampler.layout(x)) / torch.tensor([4, 2])
    (expected,) = torch.autograd.grad((bounded * slope).sum(), sampler.layout.head.weight)
    torch.testing.assert_close(sampler.layout.head.weight.grad, expected)


@pytest.mark.parametrize("options", [{"levels": []}, {"levels": [1, 3]}, {"levels": [3, 0]}])
def test_levels_that_make_no_grid_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="levels"):
        FSQSampler.Config.model_validate(options)


# Lookup-free quantization


def test_each_corner_of_the_cube_has_the_index_of_its_bits() -> None:
    sampler = LFQSampler(LFQSampler.Config(bits=4), (6,))
    indices = torch.arange(16).unsqueeze(1)
    codes = sampler.embed(indices)[:, 0]
    assert [[1.0 if index >> bit & 1 else -1.0 for bit in range(4)] for index in range(16)] == codes.tolist()
    assert torch.equal(sampler.indices(codes.unsqueeze(1)), indices)
    vectors = torch.randn(300, 1, 4)
    nearest = torch.cdist(vectors[:, 0], codes).argmin(1)
    assert torch.equal(sampler.nearest(vectors)[:, 0], nearest)
    torch.testing.assert_close(sampler.quantize(vectors).codes, vectors.sign())


@pytest.mark.parametrize(("sampler", "gamma"), [({"name": "lfq", "bits": 3}, 1.0), ({"name": "vq", "size": 7}, 0.3)])
def test_the_entropy_is_that_of_the_softmax_over_distances(sampler: dict[str, Any], gamma: float) -> None:
    term = {"name": "entropy", "temperature": 0.7, "diversity": gamma}
    model = made(sampler={**sampler, "positions": 2}, loss=["reconstruction", term])
    passed = model(torch.rand(6, 4))
    vectors = model.sampler.layout(model.encoder(passed.x))
    indices = torch.arange(model.sampler.codebook_size).unsqueeze(1).expand(-1, 2)
    codes = model.sampler.embed(indices)[:, 0]
    q = (-(vectors.unsqueeze(2) - codes).square().sum(-1) / 0.7).softmax(-1)
    expected = Categorical(q).entropy().sum(1).mean() - gamma * 2 * Categorical(q.mean((0, 1))).entropy()
    torch.testing.assert_close(model.losses["entropy"](passed), expected)


def test_the_least_entropy_is_that_of_sure_vectors_which_use_all_codes_alike() -> None:
    model = made(sampler={"name": "lfq", "bits": 3}, loss=["reconstruction", "entropy"])
    passed = model(torch.rand(400, 4))
    vectors = torch.nn.Parameter(torch.randn(400, 1, 3) * 0.3 + 0.5)
    optimizer = torch.optim.Adam([vectors], lr=0.05)
    for _ in range(150):
        latent = passed.latent._replace(extra=model.sampler.quantize(vectors).extra)
        entropy = model.losses["entropy"](passed._replace(latent=latent))
        optimizer.zero_grad()
        entropy.backward()
        optimizer.step()
    assert -math.log(8) < entropy.item() < -0.9 * math.log(8)
    counts = torch.bincount(model.sampler.nearest(vectors).flatten(), minlength=8)
    assert int(counts.min()) > 10


def test_the_entropy_needs_distances() -> None:
    with pytest.raises(ComponentError, match="loss 'entropy' reads the scores of codes, and the sampler gives none"):
        made(loss=["reconstruction", "entropy"])


# Residual quantization


def test_each_level_quantizes_what_those_before_it_have_left() -> None:
    sampler = RVQSampler(RVQSampler.Config(levels=3, size=6, latent=2), (5, 2, 4)).eval()
    x = torch.randn(7, 5, 2, 4)
    latent = sampler(x)
    assert (sampler.latent_shape, sampler.positions) == ((6, 2, 4), (2, 4, 3))
    rest = sampler.layout(x).reshape(-1, 2)
    codes = sampler.layout.codes(latent.mean).reshape(-1, 3, 2)
    for level, book in enumerate(sampler.books):
        nearest = torch.cdist(rest, book.codes, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
        assert torch.equal(latent.extra["indices"].reshape(-1, 3)[:, level], nearest)
        torch.testing.assert_close(codes[:, level], book.codes[nearest])
        rest = rest - book.codes[nearest]
    assert torch.equal(sampler.indices(latent.z)[0], latent.extra["indices"])
    assert torch.equal(sampler.embed(latent.extra["indices"]), latent.mean)
    assert latent.kl.shape == (7, 24)


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_more_levels_bring_codes_nearer_to_their_vectors(update: str) -> None:
    errors = []
    for levels in (1, 3):
        torch.manual_seed(1)
        config = RVQSampler.Config(levels=levels, size=8, latent=4, update=update, decay=0.8)
        sampler = RVQSampler(config, (4,))
        optimizer = torch.optim.Adam(sampler.parameters(), lr=0.01)
        for step in range(150):
            extra = sampler(torch.randn(128, 4)).extra
            if update == "gradient":
                optimizer.zero_grad()
                (extra["vectors"].detach() - extra["learned_codes"]).square().sum((1, 2)).mean().backward()
                optimizer.step()
            sampler.stepped(step, 0)
        x = torch.randn(500, 4)
        codes = sampler.eval()(x).mean.unflatten(-1, (levels, 4)).sum(-2)
        errors.append(float((sampler.layout(x) - codes).square().sum(-1).mean().detach()))
    assert errors[1] < 0.6 * errors[0]


# The uniform prior


def test_the_uniform_prior_of_a_config_is_the_one_that_codes_have_of_their_own() -> None:
    model = made(sampler={"name": "fsq", "levels": [3, 2]}, loss=["reconstruction", "kl"], prior="uniform")
    assert model.prior is None
    passed = model(torch.rand(5, 4))
    torch.testing.assert_close(model.losses["kl"](passed), torch.full((5,), math.log(6)))


def test_the_uniform_prior_is_for_codes_alone() -> None:
    with pytest.raises(ComponentError, match=r"prior 'uniform' is a density on codes, and the latents of .* in reals"):
        made(sampler="gaussian", prior="uniform")
    with pytest.raises(ComponentError, match=r"prior 'mixture' is a density on reals, and the latents of .* in codes"):
        made(prior="mixture")


# The use of codes


def test_the_use_of_codes_is_that_of_counts_by_hand() -> None:
    model = made(sampler={"name": "rvq", "levels": 2, "size": 5, "latent": 2, "positions": 3}).eval()
    x = torch.rand(40, 4)
    data = MetricData(Split(x, None), Split(x, None), None, lambda _: iter(()), lambda _: Split(x, None))
    figures = CodeUsage(CodeUsage.Config()).measure(model, data, 0)
    indices = model(x).latent.extra["indices"].flatten(0, 1)
    perplexities, used = [], []
    for book in range(2):
        shares = [indices[:, book].tolist().count(code) / 120 for code in range(5)]
        perplexities.append(math.exp(-sum(share * math.log(share) for share in shares if share)))
        used.append(sum(share > 0 for share in shares) / 5)
    assert figures == pytest.approx({"perplexity": sum(perplexities) / 2, "used": sum(used) / 2})


def test_the_use_of_codes_is_evaluated_unasked_where_there_are_codes() -> None:
    x = torch.rand(60, 4)
    data = Dataset(Split(x, None), None, Split(x, None), None, False)
    coded, other = made(), made(sampler="gaussian")
    names = [[each.name for each in unasked(model, data, "test", ())] for model in (coded, other)]
    assert "code_usage" in names[0]
    assert "code_usage" not in names[1]
    assert lack(other, [data.test], CodeUsage.Config()) == (
        "metric 'code_usage' needs a sampler with codes, and sampler 'gaussian' has none"
    )
