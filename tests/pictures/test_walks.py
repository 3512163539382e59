"""Decoded points along latents, and the values that stand beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from genkit.pictures import walks
from tests.models import built
from tests.pictures.test_plots import between, cells, linear


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(41)
        yield


def test_the_manifold_has_z1_across_and_z2_up_over_the_quantiles() -> None:
    side = 4
    picture = walks.manifold(between(linear(2, (1, 1, 2)), -2, 2), torch.zeros(1, 1, 1, 2), side)
    shown = cells(picture, side, side, 28, 56) / 255 * 4 - 2  # z1 to the left of each cell, z2 to the right
    z1, z2 = shown[:, :, 0, 0], shown[:, :, 0, -1]
    quantiles = Normal(0.0, 1.0).icdf((torch.arange(side) + 0.5) / side).numpy()
    np.testing.assert_allclose(z1, np.tile(quantiles, (side, 1)), atol=0.03)
    np.testing.assert_allclose(z2, np.tile(quantiles[::-1, None], (1, side)), atol=0.03)


def test_traversals_move_one_latent_a_row_the_most_varying_first() -> None:
    model = between(linear(3, (1, 1, 3)), -3, 3)
    x = torch.randn(50, 1, 1, 3) * torch.tensor([0.1, 0.9, 0.4])
    picture = walks.traversals(model, x, columns=5, most=2)
    z = cells(picture, 2, 5, 18, 54)[:, :, 0, ::18] / 255 * 6 - 3  # (row, column, latent): 1x3 enlarged 18 times
    moved = Normal(0.0, 1.0).icdf(torch.linspace(0.01, 0.99, 5)).numpy()
    expected = np.tile(x[0, 0, 0].numpy(), (2, 5, 1))
    expected[0, :, 1], expected[1, :, 2] = moved, moved
    np.testing.assert_allclose(z, expected, atol=0.04)


@pytest.mark.parametrize(("draw", "latent"), [(walks.manifold, 2), (walks.traversals, 3)])
def test_pictures_of_latents_on_a_sphere_show_points_of_the_sphere(
    draw: Any, latent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, seen = built((1, 1, 3), sampler={"name": "vmf", "latent": latent}), []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda z, *rest, **side: seen.append(z) or decode(z, *rest, **side))
    draw(model, torch.rand(20, 1, 1, 3))
    torch.testing.assert_close(seen[0].norm(dim=1), torch.ones(len(seen[0])))


def labels(figure: Any) -> list[Any]:
    """What stands beside a picture, without its title."""
    return [text for text in figure.texts if len(text.get_text()) < 30]


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in labels(figure)]


def test_the_values_of_the_latents_stand_beside_the_manifold() -> None:
    side = 4
    figure = walks.manifold_figure(between(linear(2, (1, 1, 2)), -2, 2), torch.zeros(1, 1, 1, 2), side=side)
    quantiles = Normal(0.0, 1.0).icdf((torch.arange(side) + 0.5) / side)
    values = np.array(list(map(float, texts(figure))))
    np.testing.assert_allclose(values[:side], quantiles, atol=0.03)
    np.testing.assert_allclose(values[side:], quantiles.flip(0), atol=0.03)
    assert all(len(text.lstrip("-")) == 4 for text in texts(figure))
    below, beside = labels(figure)[:side], labels(figure)[side:]
    assert [text.get_position()[0] for text in below] == sorted(text.get_position()[0] for text in below)
    assert [text.get_position()[1] for text in beside] == sorted((t.get_position()[1] for t in beside), reverse=True)


def test_the_number_of_a_latent_and_its_ends_stand_beside_its_row() -> None:
    x = torch.randn(50, 1, 1, 3) * torch.tensor([0.1, 0.9, 0.4])
    figure = walks.traversals_figure(between(linear(3, (1, 1, 3)), -3, 3), x, columns=5, most=2)
    low, high = ([text for text in texts(figure) if ("=" in text) == starts] for starts in (True, False))
    assert [text.partition(" = ")[0] for text in low] == ["z2", "z3"]
    assert [float(text.partition(" = ")[2]) for text in low] == pytest.approx([-2.33, -2.33], abs=0.06)
    assert [float(text) for text in high] == pytest.approx([2.33, 2.33], abs=0.06)


def test_points_that_are_moved_onto_a_sphere_have_no_values() -> None:
    model = built((1, 1, 3), sampler={"name": "vmf", "latent": 3})
    assert texts(walks.traversals_figure(model, torch.rand(20, 1, 1, 3), most=3)) != []
    assert not [text for text in texts(walks.traversals_figure(model, torch.rand(20, 1, 1, 3))) if "=" in text]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-1.834, -0.0009, 0.5], ["-1.83", "0.00", "0.50"]),
        ([0.0, 0.0], ["0", "0"]),
        ([1234.5, -3.2], ["1234", "-3"]),
        ([0.00123, 0.0004], ["0.00123", "0.00040"]),
        ([float("nan"), 1.0], ["nan", "1.00"]),
    ],
)
def test_values_have_three_digits_of_the_largest(values: list[float], expected: list[str]) -> None:
    assert walks._texts(values) == expected
