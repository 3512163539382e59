from __future__ import annotations

import json
import math
import os
import statistics
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from genkit.errors import DataError
from genkit.evaluation.sample_quality import SampleQuality, _agreements, sample_quality

pytestmark = pytest.mark.slow

K = 5


def drawn(n: int, width: int, seed: int) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def overlapping(n: int = 120) -> tuple[Tensor, Tensor]:
    """Two sets in three dimensions that differ, and of which parts lie in each other."""
    return drawn(n, 3, 1), drawn(n, 3, 2) * torch.tensor([0.5, 1.0, 1.6]) + torch.tensor([0.8, 0.0, -0.3])


@pytest.fixture(scope="module")
def repeated() -> list[SampleQuality]:
    """Many times two sets of one distribution."""
    return [sample_quality(drawn(100, 4, 2 * seed), drawn(100, 4, 2 * seed + 1)) for seed in range(40)]


def mean_and_error(values: list[float]) -> tuple[float, float]:
    return statistics.mean(values), statistics.stdev(values) / math.sqrt(len(values))


def shifted(x: Tensor) -> Tensor:
    return x + 100


# The Fréchet distance


def exactly(n: int, mean: list[float], deviation: list[float], seed: int) -> Tensor:
    """Data that have this mean and these uncorrelated deviations to the last digit."""
    x = drawn(n, len(mean), seed)
    x = x - x.mean(0)
    factor = torch.linalg.cholesky(x.T @ x / (n - 1))
    return torch.linalg.solve_triangular(factor, x.T, upper=False).T * torch.tensor(deviation) + torch.tensor(mean)


def test_the_frechet_distance_of_gaussians_is_that_of_the_closed_form() -> None:
    one = exactly(150, [0.0, 1.0, -2.0], [1.0, 2.0, 3.0], 0)
    other = exactly(150, [2.0, 1.0, -1.0], [2.0, 2.0, 0.5], 1)
    expected = (2**2 + 0 + 1**2) + (1 - 2) ** 2 + 0 + (3 - 0.5) ** 2  # ‖m1 − m2‖² + Σ(s1 − s2)², uncorrelated
    assert sample_quality(one, other).frechet == pytest.approx(expected, rel=1e-5)


def test_the_frechet_distance_of_correlated_data_is_that_of_scipys_square_root() -> None:
    mix = [drawn(6, 6, seed) for seed in (1, 2)]
    one, other = drawn(200, 6, 3) @ mix[0], drawn(200, 6, 4) @ mix[1] + 0.7
    (m1, s1), (m2, s2) = ((x.numpy().mean(0), np.cov(x.numpy(), rowvar=False)) for x in (one, other))
    expected = ((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
    assert sample_quality(one, other).frechet == pytest.approx(expected, rel=1e-6)
    assert sample_quality(other, one).frechet == pytest.approx(expected, rel=1e-6)


def test_one_point_over_and_over_has_no_covariance_and_still_a_distance() -> None:
    one = exactly(100, [0.0, 0.0], [1.0, 2.0], 0)
    found = sample_quality(one, torch.tensor([[3.0, 4.0]]).expand(100, 2))
    assert found.frechet == pytest.approx(25 + 1 + 4, rel=1e-5)
    assert (found.recall, found.two_sample) == (0.0, 1.0)


def test_the_same_data_have_a_distance_of_0() -> None:
    one = drawn(100, 5, 0)
    found = sample_quality(one, one.flip(0))
    assert 0 <= found.frechet < 1e-6


# The kernel distance


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3


def unbiased_mmd(one: Tensor, other: Tensor) -> float:
    """By loops over all pairs (Gretton et al. 2012, lemma 6)."""
    x, y, n = one.tolist(), other.tolist(), len(one)
    within = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i in range(n) for j in range(n) if i != j)
    between = sum(kernel(a, b) for a in x for b in y)
    return within / (n * (n - 1)) - 2 * between / n**2


def test_the_kernel_distance_is_that_of_all_pairs_to_its_error() -> None:
    one, other = overlapping()
    found = sample_quality(one, other)
    assert found.kid == pytest.approx(unbiased_mmd(one, other), abs=4 * found.kid_error)
    assert found.kid > 2 * found.kid_error


def test_the_kernel_distance_of_two_points_is_exact() -> None:
    a, b = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.0, -1.0, 3.0])
    found = sample_quality(a.expand(100, 3), b.expand(100, 3))
    assert found.kid == pytest.approx((5 / 3 + 1) ** 3 + (10 / 3 + 1) ** 3 - 2 * (-2 / 3 + 1) ** 3)
    assert found.kid_error == pytest.approx(0)


def test_the_kernel_distance_is_on_average_that_of_the_distributions() -> None:
    # For one feature (xy + 1)³ = 1 + 3xy + 3x²y² + x³y³, so MMD² is 3Δ₁² + 3Δ₂² + Δ₃² for moments that differ by Δ.
    mean, deviation = 1.0, 0.5
    differences = mean, mean**2, mean**3 + 3 * mean * deviation**2
    expected = 3 * differences[0] ** 2 + 3 * differences[1] ** 2 + differences[2] ** 2
    pairs = [(drawn(100, 1, seed), drawn(100, 1, seed + 1)) for seed in range(200, 230, 2)]
    found = [sample_quality(deviation * one, deviation * other + mean).kid for one, other in pairs]
    average, error = mean_and_error(found)
    assert average == pytest.approx(expected, abs=4 * error)
    assert error < expected / 10


def test_the_kernel_distance_of_one_distribution_is_0_to_its_error(repeated: list[SampleQuality]) -> None:
    mean, error = mean_and_error([found.kid for found in repeated])
    assert abs(mean) < 4 * error
    assert sum(abs(found.kid) < 4 * found.kid_error for found in repeated) >= 0.95 * len(repeated)
    assert min(found.kid for found in repeated) < 0  # unbiased: not held at 0


def test_the_error_of_the_kernel_distance_is_the_spread_of_repetitions(repeated: list[SampleQuality]) -> None:
    spread = statistics.stdev(found.kid for found in repeated)
    claimed = math.sqrt(statistics.mean(found.kid_error**2 for found in repeated))
    assert claimed == pytest.approx(spread, rel=0.35)


# Precision, recall, density, coverage and the nearest neighbour, by loops


def radii(points: list[list[float]]) -> list[float]:
    """The distance of each to its K-th nearest neighbour among the others."""
    return [sorted(math.dist(p, q) for j, q in enumerate(points) if j != i)[K - 1] for i, p in enumerate(points)]


def within(points: list[list[float]], manifold: list[list[float]]) -> float:
    """The share of points within reach of any of the manifold's."""
    reach = list(zip(manifold, radii(manifold), strict=True))
    return sum(any(math.dist(p, q) <= r for q, r in reach) for p in points) / len(points)


def nearest_is_of_its_own(one: list[list[float]], other: list[list[float]]) -> float:
    both = [(p, 0) for p in one] + [(p, 1) for p in other]
    right = 0
    for i, (p, label) in enumerate(both):
        others = [(math.dist(p, q), found) for j, (q, found) in enumerate(both) if j != i]
        right += min(others)[1] == label
    return right / len(both)


@pytest.mark.parametrize("swapped", [False, True])
def test_manifold_figures_are_those_of_the_papers_by_loops(swapped: bool) -> None:
    real, generated = overlapping()[::-1] if swapped else overlapping()
    found = sample_quality(real, generated)
    x, y = real.tolist(), generated.tolist()
    balls = list(zip(x, radii(x), strict=True))
    expected = {
        "precision": within(y, x),
        "recall": within(x, y),
        "density": sum(math.dist(p, q) <= r for p in y for q, r in balls) / K / len(y),
        "coverage": sum(any(math.dist(p, q) <= r for p in y) for q, r in balls) / len(x),
        "two_sample": nearest_is_of_its_own(x, y),
    }
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected)
    assert all(0.1 < value < 0.98 or name == "density" for name, value in expected.items())


def test_far_from_the_data_no_sample_is_precise_and_all_are_told_apart() -> None:
    one = drawn(100, 4, 0)
    found = sample_quality(one, shifted(drawn(100, 4, 1)))
    assert (found.precision, found.recall, found.density, found.coverage, found.two_sample) == (0, 0, 0, 0, 1)


def test_a_copy_of_the_data_is_told_from_them_by_having_no_neighbour_of_its_own() -> None:
    one = drawn(100, 4, 0)
    copied = sample_quality(one, one[torch.randperm(100, generator=torch.Generator().manual_seed(0))])
    assert (copied.precision, copied.recall, copied.coverage, copied.two_sample) == (1, 1, 1, 0)
    assert 0.999 < copied.density < 1.001 + 1 / K  # itself and as many others as hold it, on average K, or K − 1 inside
    near = sample_quality(one, one + 1e-6 * drawn(100, 4, 1))
    assert near.two_sample == 0


def test_sets_of_one_distribution_have_the_figures_that_are_known_for_them(repeated: list[SampleQuality]) -> None:
    n = 100
    missed = math.prod((n - i) / (2 * n - i) for i in range(1, K + 1))  # the nearest K of 2n − 1 are all real
    expected = {"density": 1.0, "coverage": 1 - missed, "two_sample": (n - 1) / (2 * n - 1)}
    for name, value in expected.items():
        mean, error = mean_and_error([getattr(found, name) for found in repeated])
        assert mean == pytest.approx(value, abs=4 * error), name
        assert error < 0.02, name


@pytest.mark.slow
@pytest.mark.skipif("PUBLISHED" not in os.environ, reason="takes a minute: `make published`")
def test_two_wide_gaussians_have_the_figures_of_the_prdc_authors() -> None:
    # In 1,000 dimensions few points are in the reach of many, and the figures vary from draw to draw: over eight
    # draws with standard deviations of 0.012, 0.010, 0.085 and 0.008.
    found = sample_quality(drawn(10_000, 1000, 0).float(), drawn(10_000, 1000, 1).float())
    assert found.precision == pytest.approx(0.4772, abs=0.04)
    assert found.recall == pytest.approx(0.4705, abs=0.04)
    assert found.density == pytest.approx(1.0555, abs=0.3)
    assert found.coverage == pytest.approx(0.9735, abs=0.03)
    assert found.two_sample == pytest.approx(0.5, abs=0.02)
    assert abs(found.kid) < 5 * found.kid_error


# Classes


def judged(real: list[int], generated: list[int], classes: int) -> SampleQuality:
    """The two as shares of a hundred data each."""
    looks = tuple(
        torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)) for counts in (real, generated)
    )
    assert [len(look) for look in looks] == [100, 100]
    return sample_quality(drawn(100, 2, 0), drawn(100, 2, 1), looks, classes)


@pytest.mark.parametrize(
    ("real", "generated", "expected"),
    [
        ([50, 50], [50, 50], 1.0),
        ([50, 50], [100, 0], 0.5),
        ([50, 50], [96, 4], 0.5),  # 4% is less than a tenth of 50%
        ([50, 50], [94, 6], 1.0),
        ([40, 40, 20, 0], [96, 1, 3, 0], 2 / 3),  # a class that no datum has is none to cover
        ([40, 40, 20, 0], [50, 0, 0, 50], 1 / 3),
    ],
)
def test_a_class_is_covered_by_a_tenth_of_its_share(real: list[int], generated: list[int], expected: float) -> None:
    found = judged(real, generated, len(real))
    assert found.classes == pytest.approx(expected)
    assert found.class_shares == pytest.approx([count / 100 for count in generated])


def test_classes_beyond_the_last_that_is_seen_have_shares_too() -> None:
    assert judged([60, 40], [100], 4).class_shares == pytest.approx([1, 0, 0, 0])


def test_without_classes_there_are_none_to_cover() -> None:
    found = sample_quality(drawn(100, 2, 0), drawn(100, 2, 1))
    assert (found.classes, found.class_shares) == (None, None)


def agreeing(looks: torch.Tensor, asked: torch.Tensor, classes: int) -> SampleQuality:
    one, other = drawn(len(looks), 2, 0), drawn(len(looks), 2, 1)
    return sample_quality(one, other, (looks, looks), classes, asked)


def test_samples_that_look_like_what_they_were_asked_for_agree_wholly() -> None:
    asked = torch.arange(100) % 10
    found = agreeing(asked, asked, 10)
    assert (found.class_agreement, found.class_agreements) == (1.0, [1.0] * 10)


def test_samples_that_do_not_heed_what_they_were_asked_for_agree_by_chance() -> None:
    """Uniform over ten classes, so that 20,000 samples of each agree to 0.1 with a deviation of 0.002."""
    asked, looks = torch.arange(200_000) % 10, torch.randint(10, (200_000,))
    shares = _agreements(looks, asked, 10)
    assert shares == pytest.approx([0.1] * 10, abs=0.011)


def test_the_agreement_is_that_of_the_worst_class_of_those_asked_for() -> None:
    asked = torch.tensor([0] * 50 + [2] * 50)
    looks = torch.tensor([0] * 50 + [2] * 40 + [1] * 10)
    found = agreeing(looks, asked, 4)
    assert found.class_agreement == 0.8
    assert found.class_agreements == [1.0, None, 0.8, None]


def test_where_no_class_was_asked_for_none_agrees() -> None:
    found = judged([50, 50], [50, 50], 2)
    assert (found.class_agreement, found.class_agreements) == (None, None)


# What comes back, and what is refused


def test_the_figures_go_through_json_and_say_of_how_many_they_are() -> None:
    found = judged([50, 50], [90, 10], 2)
    values = json.loads(json.dumps(found.to_json()))
    assert values["count"] == 100
    assert SampleQuality(**values) == found


def test_neither_type_nor_gradient_nor_random_state_matters(capfd: pytest.CaptureFixture[str]) -> None:
    one, other = overlapping(100)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    found = sample_quality(one.float().requires_grad_(), other.float())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert found == sample_quality(one.float(), other.float())
    assert found.frechet == pytest.approx(sample_quality(one, other).frechet, rel=1e-4)
    assert capfd.readouterr().out == ""


def with_one(value: float) -> Tensor:
    x = drawn(100, 3, 0)
    x[41, 2] = value
    return x


@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        (lambda: drawn(99, 3, 0), lambda: drawn(99, 3, 1), "99 data are too few to judge samples by"),
        (lambda: drawn(100, 3, 0), lambda: drawn(120, 3, 1), r"one shape \(N, F\).*\(100, 3\), \(120, 3\)"),
        (lambda: drawn(100, 3, 0), lambda: drawn(100, 4, 1), r"\(100, 3\), \(100, 4\)"),
        (lambda: torch.zeros(100, 1, 8, 8), lambda: torch.zeros(100, 1, 8, 8), r"one shape \(N, F\)"),
        (lambda: with_one(math.nan), lambda: drawn(100, 3, 1), "real data have features that are not finite"),
        (lambda: drawn(100, 3, 1), lambda: with_one(math.nan), "generated data have features that are not finite"),
        (lambda: drawn(100, 3, 1), lambda: with_one(-math.inf), "generated data have features that are not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    real: Callable[[], Tensor], generated: Callable[[], Tensor], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        sample_quality(real(), generated())


def test_the_warning_filters_of_the_process_are_left_as_they_were():
    sample_quality(torch.randn(100, 3), torch.randn(100, 3))  # imports
    before, interval = list(warnings.filters), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(20):
            sample_quality(torch.randn(100, 3), torch.randn(100, 3))
    finally:
        sys.setswitchinterval(interval)
    assert list(warnings.filters) == before


def test_exactly_a_tenth_covers_a_class():
    looks = [torch.repeat_interleave(torch.arange(3), torch.tensor(n)) for n in ([40, 40, 20], [94, 4, 2])]
    assert sample_quality(torch.randn(100, 2), torch.randn(100, 2), tuple(looks), 3).classes == 1
