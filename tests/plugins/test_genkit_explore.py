"""The explorer: planes, latents, and the answers to what the page asks, against closed forms."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from genkit.data.transforming import Chain
from genkit.errors import ComponentError, DataError
from genkit.interfaces import Column, Schema, Side, Split
from genkit.interfaces.columns import laid_out
from genkit.interfaces.component import MASK
from genkit_explore import planes
from genkit_explore.explorer import Explorer
from genkit_explore.latents import kl_per_latent, latents_of, on_support
from genkit_explore.planes import between_neighbours, plane_of
from genkit_explore.requests import MapRequest, MoveRequest, PathRequest, point
from genkit_explore.views import base64_of, floats
from tests.models import built

LABELS = {"labels": Side(classes=3, names=("a", "b", "c"))}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


def explorer(schema: Schema | tuple[int, ...] = (1, 4, 4), count: int = 50, x: Any = None, **changes: Any) -> Explorer:
    """An explorer of a small model with fresh weights, and of random data."""
    model = built(schema, **changes).eval()
    x = torch.rand(count, *model.shape) if x is None else x
    side = {name: torch.arange(count) % (each.classes or 1) for name, each in model.schema.side.items() if each.classes}
    labels = side.pop("labels", None)
    if model.schema.is_padded:
        side[MASK] = (torch.arange(model.shape[0]) < torch.arange(count).unsqueeze(1) % 3 + 2).float()
    return Explorer(model, Split(x, labels, side), 40, "a model", "the test split", "runs/a")


def z_of(answer: Any) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(answer["z"]), "<f4").copy())


def text(*values: float) -> str:
    return base64_of(floats(torch.tensor(values)))


# Planes


def wide(dimensions: int = 5, count: int = 40) -> Tensor:
    return torch.randn(count, dimensions) * torch.arange(dimensions, 0, -1) + 3


def known_latents(z: Tensor) -> Any:
    return latents_of(built((1, 4, 4), sampler={"name": "gaussian", "latent": z.shape[1]}), z, None)


@pytest.mark.parametrize("name", ["principal", "0:1", "4:2"])
@pytest.mark.parametrize("count", [40, 3])
def test_a_point_that_moves_in_a_plane_is_where_it_was_put_and_keeps_the_rest(name: str, count: int) -> None:
    z = wide(count=count)
    plane = plane_of(name, z, known_latents(z))
    torch.testing.assert_close(plane.project(z), plane.points, atol=1e-4, rtol=1e-4)
    place = torch.tensor([0.5, -2.0])
    moved = plane.lift(place, z[0])
    torch.testing.assert_close(plane.project(moved), place, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(plane.lift(plane.project(z[0]), moved), z[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("count", [40, 4])
def test_principal_components_are_those_of_a_singular_value_decomposition(count: int) -> None:
    z = wide(count=count)
    left, singular, _ = np.linalg.svd((z - z.mean(0)).double().numpy(), full_matrices=False)
    plane = plane_of("principal", z, known_latents(z))
    expected = torch.from_numpy(left[:, :2] * singular[:2]).float()
    torch.testing.assert_close(plane.points.abs(), expected.abs(), atol=1e-4, rtol=1e-4)
    share = singular[0] ** 2 / (singular**2).sum()
    assert f"({share:.0%} of the variance)" in plane.axes[0]


def test_a_single_datum_has_a_plane_of_components() -> None:
    z = wide(count=1)
    plane = plane_of("principal", z, known_latents(wide()))
    assert plane.points.tolist() == [[0.0, 0.0]]


def test_one_latent_is_spread_upwards_and_moves_across_alone() -> None:
    z = torch.randn(9, 1)
    plane = plane_of("0:0", z, known_latents(z))
    assert plane.points[:, 0].tolist() == z[:, 0].tolist()
    assert plane.lift(torch.tensor([0.25, 7.0]), z[0]).tolist() == [0.25]


@pytest.mark.parametrize("name", ["", "0", "0:5", "-1:0", "0:x", "umap", "<img src=x>"])
def test_planes_that_are_not_there_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="there is no plane"):
        plane_of(name, wide(), known_latents(wide()))


def test_umap_is_offered_where_it_is_installed_and_points_lie_between_their_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class UMAP:
        def __init__(self, **options: Any) -> None:
            assert options["random_state"] == 0

        def fit_transform(self, z: Any) -> Any:
            return np.stack([z[:, 0], -z[:, 1]], 1)

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    monkeypatch.setattr(planes, "find_spec", lambda name: name == "umap")
    z = wide()
    plane = plane_of("umap", z, known_latents(z))
    torch.testing.assert_close(plane.lift(plane.points[3], z[0]), z[3], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(plane.project(z[7]), plane.points[7], atol=1e-3, rtol=1e-3)


def test_weights_of_neighbours_are_inverse_squared_distances() -> None:
    places, values = torch.tensor([[0.0, 0.0], [3.0, 0.0]]), torch.tensor([[10.0], [20.0]])
    mean = between_neighbours(torch.tensor([1.0, 0.0]), places, values)
    torch.testing.assert_close(mean, torch.tensor([(10 * 1 + 20 / 4) / (1 + 1 / 4)]))


# Latents


def test_the_kl_of_each_latent_is_that_of_a_gaussian() -> None:
    model = built((1, 4, 4), sampler={"name": "gaussian", "latent": 3}).eval()
    x = torch.rand(10, 1, 4, 4)
    with torch.no_grad():
        latent = model.posterior(x, 1)
        scale = (model.posterior(x, 20_000).z - latent.mean).std(0)
    posterior = torch.distributions.Normal(latent.mean, scale)
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean(0)
    measured = kl_per_latent(model, Split(x, None))
    assert measured is not None
    torch.testing.assert_close(measured, expected, atol=0.02, rtol=0.02)


def test_latents_that_say_nothing_are_not_active_and_come_last() -> None:
    model = built((1, 4, 4), sampler={"name": "point", "latent": 3}, loss=["reconstruction"])
    latents = latents_of(model, torch.randn(50, 3) * torch.tensor([0.001, 5.0, 1.0]), None)
    assert latents.order == [1, 2, 0]
    assert latents.active.tolist() == [False, True, True]
    assert not latents.is_kl
    assert [each["index"] for each in latents.sliders()] == [1, 2, 0]


def test_points_are_brought_to_where_latents_lie() -> None:
    sphere = built((6,), sampler={"name": "vmf", "latent": 3})
    assert on_support(sphere, torch.tensor([[3.0, 0.0, 4.0]]))[0].tolist() == pytest.approx([0.6, 0.0, 0.8])
    simplex = built((6,), sampler={"name": "categorical", "variables": 2, "classes": 2})
    assert on_support(simplex, torch.tensor([[0.5, -1.0, 0.2, 0.6]]))[0].tolist() == pytest.approx([1, 0, 0.25, 0.75])
    codes = built((6,), encoder={"name": "mlp", "hidden": [6]}, sampler={"name": "vq", "size": 4, "latent": 2},
                  loss=["reconstruction", "commitment"])  # fmt: skip
    z = on_support(codes, torch.randn(3, 2))
    book = codes.sampler.embed(torch.arange(4).view(4, *[1] * len(codes.sampler.positions))).flatten(1)
    assert all((book == each).all(1).any() for each in z)


# Answers


def test_a_moved_point_is_decoded_as_the_model_decodes() -> None:
    one = explorer()
    answer = one.move(MoveRequest(plane="0:1", z=text(0.0, 0.0), to=(0.5, -1.5)))
    z = z_of(answer)
    assert z.tolist() == [0.5, -1.5] == answer["at"]
    expected = one.model.decode(z[None]).clamp(0, 1).mul(255).round()
    assert list(base64.b64decode(answer["x"])) == expected.flatten().int().tolist()


def test_a_datum_is_at_its_own_code_with_itself_beside_it() -> None:
    one = explorer()
    answer = one.move(MoveRequest(plane="0:1", datum=4))
    assert z_of(answer).tolist() == one.points.z[4].tolist()
    assert answer["row"] == 4
    assert answer["near"][0] == (4, 0.0)
    own = (one.points.x[4] * 255).round().int().flatten().tolist()
    assert list(base64.b64decode(answer["original"])) == own


def test_the_nearest_data_are_the_nearest() -> None:
    one, z = explorer(), torch.tensor([0.1, 0.2])
    distances = (one.points.z - z).norm(dim=1)
    expected = distances.argsort()[:6].tolist()
    assert [row for row, _ in one.near(z)] == expected
    assert [distance for _, distance in one.near(z)] == pytest.approx(distances[expected].tolist(), abs=1e-6)


def test_a_conditional_model_decodes_with_the_class_that_is_chosen() -> None:
    one = explorer(Schema((6,), LABELS), condition="labels", decoder={"name": "mlp", "hidden": []})
    assert one.inputs == {"labels": {"kind": "class", "names": ["a", "b", "c"]}}
    answers = [one.move(MoveRequest(plane="0:1", z=text(0, 0), side={"labels": k})) for k in range(3)]
    assert len({each["x"] for each in answers}) == 3
    assert one.move(MoveRequest(plane="0:1", datum=4))["side"] == {"labels": int(4 * 49 / 39) % 3}
    assert one.points.classes(one.model.schema.side)["labels"][0] == ["a", "b", "c"]


def test_series_of_different_lengths_have_as_many_steps_as_are_chosen() -> None:
    schema = Schema((5, 2), {MASK: Side((5,))}, channels=("up", "down"), lengths=(0, 0, 4, 4, 4, 0))
    one = explorer(schema, encoder={"name": "rnn", "hidden": 4}, decoder={"name": "rnn", "hidden": 4})
    assert one.inputs == {"lengths": {"kind": "steps", "low": 1, "high": 5}}
    answer = one.move(MoveRequest(plane="0:1", z=text(0, 0), side={"lengths": 3}))
    x = np.frombuffer(base64.b64decode(answer["x"]), "<f4").reshape(5, 2)
    assert np.isnan(x).any(1).tolist() == [False, False, False, True, True]
    assert one.view.description()["names"] == ["up", "down"]


def test_a_path_has_its_ends_and_equal_steps() -> None:
    answer = explorer().path(PathRequest(plane="0:1", start=text(0, 0), stop=text(1, 2), steps=5))
    torch.testing.assert_close(torch.tensor(answer["at"]), torch.linspace(0, 1, 5)[:, None] * torch.tensor([1.0, 2.0]))
    assert len(base64.b64decode(answer["x"])) == 5 * 16


def test_a_map_decodes_each_of_its_places() -> None:
    one = explorer()
    request = MapRequest(plane="0:1", z=text(0, 0), low=(-1, -2), high=(1, 2), count=3)
    cells = np.frombuffer(base64.b64decode(one.decoded_map(request)["thumbnails"]), np.uint8).reshape(9, -1)
    corner = one.move(MoveRequest(plane="0:1", z=text(1, -2)))["x"]
    assert cells[2].tobytes() == base64.b64decode(corner)


def test_a_model_without_an_encoder_shows_draws_from_its_prior() -> None:
    one = explorer(encoder=None, loss=[{"name": "adversarial", "critic": "mlp"}])
    assert one.points.are_drawn
    torch.testing.assert_close(one.points.x, one.model.decode(one.points.z))
    assert "original" not in one.move(MoveRequest(plane="0:1", datum=0))


def table() -> tuple[Schema, Tensor]:
    columns = laid_out([
        Column(name="age", kind="numeric", mark=0, decimals=1),
        Column(name="<b>sex</b>", kind="categorical", categories=("f", "m")),
    ])  # fmt: skip
    x = torch.rand(50, 4)
    x[:, 0], x[:, 3] = x[:, 0] * 50 + 10, 0
    x[0, 3], x[0, 0] = 1, 0
    return Schema((4,), columns=columns), x


def test_a_table_has_its_columns_with_ranges_without_what_is_missing() -> None:
    schema, x = table()
    one = explorer(schema, x=x, likelihood="mixed")
    first, second = one.view.description()["columns"]
    assert (first["name"], first["start"], first["mark"], first["decimals"]) == ("age", 0, 3, 1)
    there = one.points.x[one.points.x[:, 3] < 0.5, 0]
    assert (first["low"], first["high"]) == (float(there.min()), float(there.max()))
    assert second["categories"] == ("f", "m")
    assert one.view.thumbnails(x) == (b"", ())
    assert one.space()["rows"] is not None


@pytest.mark.parametrize(("shape", "kind"), [((1, 4, 4), "image"), ((3, 4, 4), "image"), ((7, 2), "lines"),
                                             ((6,), "lines"), ((2, 4, 4), "lines")])  # fmt: skip
def test_the_shape_of_the_data_chooses_their_view(shape: tuple[int, ...], kind: str) -> None:
    one = explorer(shape)
    space = one.space()
    assert space["view"]["kind"] == kind
    small, own = one.view.thumbnails(one.points.x)
    assert len(small) == len(one.points.x) * int(np.prod(own))
    assert space["thumbnail"] == list(own)


def test_large_images_have_small_thumbnails() -> None:
    one = explorer((1, 40, 60), count=3)
    assert one.view.thumbnails(one.points.x)[1] == (19, 28, 1)


def test_wrong_questions_are_refused() -> None:
    one = explorer(Schema((1, 4, 4), LABELS), condition="labels")
    for wrong in ({"z": "nonsense"}, {"z": text(1.0)}, {"z": text(1.0, float("nan"))}, {"datum": 40}, {"row": 99},
                  {"plane": "9:9"}, {"side": {"labels": 3}}, {"side": {"labels": 10**12}},
                  {"side": {"colour": 1}}):  # fmt: skip
        with pytest.raises(DataError):
            one.move(MoveRequest.model_validate({"plane": "0:1", "z": text(0, 0), **wrong}))
    for wrong in ({"to": [0]}, {"to": [0, "inf"]}, {"datum": -1}, {"side": {"labels": "a"}}, {"other": 1}):  # fmt: skip
        with pytest.raises(ValidationError):
            MoveRequest.model_validate(wrong)
    with pytest.raises(DataError, match="base64"):
        point("%", 2)


def test_a_model_that_gives_no_data_is_refused() -> None:
    class OneWay(nn.Module):
        invertible = False

    model = built((1, 4, 4)).eval()
    model.transforms = Chain([OneWay()])
    model.transforms.names = ("one-way",)
    with pytest.raises(ComponentError, match="'one-way' cannot be inverted"):
        Explorer(model, Split(torch.rand(3, 1, 4, 4), None), 3, "a", "b", "c")
