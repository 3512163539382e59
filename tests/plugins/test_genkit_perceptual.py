"""The perceptual term against torchmetrics, NumPy's Fourier transform, and Parseval's theorem."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from genkit.errors import ComponentError
from genkit.interfaces import Forward
from genkit.testing import checks
from genkit.training.trainer import Trainer
from genkit_perceptual import Perceptual
from genkit_perceptual.similarity import EXPONENTS
from tests.models import built


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def value(shape: tuple[int, ...], x: Tensor, params: Tensor, **options: Any) -> Tensor:
    """The term of images x (B, *shape) with the means `params` (K, B, *shape)."""
    term = Perceptual(Perceptual.Config.model_validate(options), shape)
    likelihood: Any = SimpleNamespace(mean=lambda each: each)
    result: Tensor = term(Forward(x, None, params, None, None, likelihood))
    return result


def images(count: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Smooth random images from 0 to 1, and noisy ones that resemble them."""
    coarse = torch.rand(count, shape[0], 6, 6)
    x = torch.nn.functional.interpolate(coarse, shape[1:], mode="bilinear")
    return x, (x + 0.1 * torch.randn_like(x)).clamp(0, 1)


def reference(x: Tensor, other: Tensor, exponents: tuple[float, ...], data_range: float = 1.0) -> Tensor:
    """MS-SSIM by torchmetrics, scale by scale, of the windows that lie within the images."""
    options: dict[str, Any] = {"data_range": data_range, "sigma": 1.5, "kernel_size": 11, "reduction": "none"}
    total = torch.ones(len(x))
    for place, exponent in enumerate(exponents):
        if place > 0:
            x, other = torch.nn.functional.avg_pool2d(x, 2), torch.nn.functional.avg_pool2d(other, 2)
        if place == len(exponents) - 1:
            _, full = structural_similarity_index_measure(other, x, return_full_image=True, **options)
            value = full[..., 5:-5, 5:-5].flatten(1).mean(1)
        else:
            _, value = structural_similarity_index_measure(other, x, return_contrast_sensitivity=True, **options)
        total = total * value**exponent
    return total


@pytest.mark.parametrize("channels", [1, 3])
def test_the_similarity_of_five_scales_is_that_of_torchmetrics(channels: int) -> None:
    shape = (channels, 176, 190)
    x, other = images(2, shape)
    theirs = reference(x, other, tuple(each / sum(EXPONENTS) for each in EXPONENTS))
    assert bool((theirs < 0.95).all())
    ours = 1 - value(shape, x, other.unsqueeze(0)) / (channels * 176 * 190)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("scales", "size"), [(1, 24), (2, 28)])
def test_fewer_scales_have_the_first_exponents_for_any_range(scales: int, size: int) -> None:
    shape = (1, size, size - 1)
    x, other = images(3, shape)
    exponents = tuple(each / sum(EXPONENTS[:scales]) for each in EXPONENTS[:scales])
    theirs = reference(5 * x, 5 * other, exponents, 5.0)
    ours = 1 - value(shape, 5 * x, 5 * other.unsqueeze(0), scales=scales, range=5) / (size * (size - 1))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("alpha", "shape"), [(1.0, (3, 8, 8)), (2.0, (1, 7, 10)), (0.5, (2, 5, 4))])
def test_the_focal_frequency_loss_is_that_of_its_formula(alpha: float, shape: tuple[int, ...]) -> None:
    x, other = torch.rand(2, *shape), torch.rand(2, *shape)
    real, fake = (np.fft.fft2(each.double().numpy(), norm="ortho") for each in (x, other))
    expected = []
    for one, two in zip(real, fake, strict=True):
        total = 0.0
        for channel, theirs in zip(one, two, strict=True):
            weight = np.abs(channel - theirs) ** alpha
            total += float((weight / weight.max() * np.abs(channel - theirs) ** 2).sum())
        expected.append(total)
    given = value(shape, x, other.unsqueeze(0), form="focal_frequency", alpha=alpha)
    assert given.tolist() == pytest.approx(expected, rel=1e-4)


def test_without_a_focus_the_loss_is_the_squared_error() -> None:
    x, other = torch.rand(4, 1, 9, 6), torch.rand(4, 1, 9, 6)
    given = value((1, 9, 6), x, other.unsqueeze(0), form="focal_frequency", alpha=0)
    torch.testing.assert_close(given, (x - other).square().flatten(1).sum(1))


@pytest.mark.parametrize("options", [{}, {"form": "focal_frequency"}])
def test_equal_images_have_no_distance_and_draws_count_alike(options: dict[str, Any]) -> None:
    shape = (1, 16, 16)
    x, other = images(3, shape)
    params = torch.stack([x, other]).requires_grad_()
    term = value(shape, x, params, **options)
    torch.testing.assert_close(2 * term, value(shape, x, other.unsqueeze(0), **options), rtol=1e-4, atol=1e-3)
    assert value(shape, x, x.unsqueeze(0), **options).abs().max() < 1e-3
    (slope,) = torch.autograd.grad(term.sum(), params)
    assert bool(slope.isfinite().all())
    dark = value(shape, torch.zeros(1, *shape), torch.zeros(1, 1, *shape, requires_grad=True), **options)
    assert dark.tolist() == pytest.approx([0], abs=1e-3)


def test_opposite_images_have_a_finite_gradient() -> None:
    x = (torch.arange(16) % 2).float().expand(1, 1, 16, 16)
    params = (1 - x).unsqueeze(0).clone().requires_grad_()
    (slope,) = torch.autograd.grad(value((1, 16, 16), x, params).sum(), params)
    assert bool(slope.isfinite().all())


@pytest.mark.parametrize("options", [{"weight": 3}, {"form": "focal_frequency", "weight": 30}])
def test_a_model_learns_by_the_term(options: dict[str, Any]) -> None:
    ends, _ = images(2, (1, 16, 16))
    x = torch.lerp(ends[:1], ends[1:], torch.rand(32, 1, 1, 1))
    loss = [{"name": "reconstruction", "weight": 0}, {"name": "perceptual", **options}]
    model = built(
        (1, 16, 16),
        sampler={"name": "point", "latent": 4},
        loss=loss,
        training={"optimizer": {"name": "adam", "lr": 1e-2}},
    )
    trainer = Trainer(model, model.config.training)
    weights = torch.tensor(list(trainer.weights_at(0).values()))
    terms = [float(trainer.step(x, weights)["term/perceptual"]) for _ in range(100)]
    assert terms[-1] < terms[0] / 2


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        ((4,), {}, r"it compares images \(C, H, W\), not data of shape \(4,\)"),
        (
            (1, 8, 28),
            {},
            "images of 8x28 are too small for 1 scales with windows of 11: the least size is 11x11; lower",
        ),
        ((1, 28, 28), {"scales": 3}, "images of 28x28 are too small for 3 scales with windows of 11: .* is 44x44"),
        ((1, 28, 28), {"window": 4}, "window: 4 is even, and a window has a pixel in its middle: take 5"),
    ],
)
def test_what_it_does_not_take_is_named(shape: tuple[int, ...], options: dict[str, Any], said: str) -> None:
    with pytest.raises(ComponentError, match=said):
        built(shape, loss=["reconstruction", "kl", {"name": "perceptual", **options}])


def test_as_many_scales_as_fit_are_used() -> None:
    for size, scales in ((11, 1), (21, 1), (22, 2), (44, 3), (175, 4), (176, 5), (400, 5)):
        term = Perceptual(Perceptual.Config(), (1, size, size + 3))
        assert len(term.distance.exponents) == scales  # type: ignore[arg-type]
        assert sum(term.distance.exponents) == pytest.approx(1)  # type: ignore[arg-type]


def test_the_spectra_keep_the_contract() -> None:
    """The weights of the frequencies have no gradient, by design."""
    config = Perceptual.Config(form="focal_frequency")
    expected = {"gradients": "the weights of the frequencies are held still"}
    results = [check.result() for check in checks(Perceptual, config, expected=expected)]
    assert [each for each in results if each.status == "FAILED"] == []
