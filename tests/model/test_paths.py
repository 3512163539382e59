from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from genkit.model.paths import between, onto
from tests.models import built


def test_a_path_on_the_sphere_is_a_great_circle_in_equal_steps() -> None:
    start, stop = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([math.cos(2.0), math.sin(2.0), 0.0])
    fraction = torch.linspace(0, 1, 5).unsqueeze(1)
    angles = fraction * 2
    expected = torch.cat([angles.cos(), angles.sin(), torch.zeros(5, 1)], 1)
    torch.testing.assert_close(between(start, stop, fraction, "sphere"), expected)
    torch.testing.assert_close(between(start, stop, fraction, "reals"), torch.lerp(start, stop, fraction))


@pytest.mark.parametrize("apart", [0.0, 1e-6, 1e-2])
def test_a_path_between_points_that_lie_close_stays_on_the_sphere(apart: float) -> None:
    start = F.normalize(torch.tensor([1.0, 2.0, 3.0]), dim=0)
    stop = F.normalize(start + apart * torch.tensor([1.0, 0.0, 0.0]), dim=0)
    path = between(start, stop, torch.linspace(0, 1, 7).unsqueeze(1), "sphere")
    torch.testing.assert_close(path.norm(dim=1), torch.ones(7))
    torch.testing.assert_close(path[[0, -1]], torch.stack([start, stop]))


def test_points_are_brought_onto_the_sphere_alone() -> None:
    z = torch.randn(4, 3)
    torch.testing.assert_close(onto(z, "sphere"), z / z.norm(dim=1, keepdim=True))
    assert onto(z, "reals") is z


def test_a_model_of_directions_interpolates_on_the_sphere(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = built((4,), sampler={"name": "vmf", "latent": 3}), []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda z, *rest, **side: seen.append(z) or decode(z, *rest, **side))
    x = torch.rand(2, 4)
    assert model.interpolate(x[0], x[1], 6).shape == (6, 4)
    (path,) = seen
    torch.testing.assert_close(path.norm(dim=1), torch.ones(6))
