from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA
from torch.distributions import Normal

from genkit.data.dataset import Dataset, DataSignature
from genkit.errors import GenkitWarning, RunError
from genkit.interfaces import Schema, Shape, Side, Split
from genkit.model.model import Model
from genkit.pictures import latent_space, plots
from genkit.pictures.mosaic import framed
from genkit.pictures.saving import save
from genkit.record.scores import EpochRecord, Scores
from tests.models import LINEAR, built

GAP = [60, 60, 60]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(41)
        yield


def linear(latent: int, shape: Shape, likelihood: str = "gaussian") -> Model:
    """A model that shows z itself where the data have as many values: every map is the identity."""
    model = built(shape, **LINEAR, sampler={"name": "gaussian", "latent": latent}, likelihood=likelihood)
    with torch.no_grad():
        for layer in (model.sampler.mean, model.decoder.layers[1]):
            torch.nn.init.eye_(layer.weight)
            layer.bias.zero_()
    return model


def between(model: Model, low: float, high: float) -> Model:
    """The model, with data that go from `low` to `high`."""
    model.data = DataSignature(source="test", shape=model.shape, range=(low, high), classes=None, counts={})
    return model


def record(epoch: int, validation: bool = True) -> EpochRecord:
    def scores(offset: float) -> Scores:
        terms = {"reconstruction": 30.0 / epoch + offset, "kl": 2.0 + offset}
        return Scores(sum(terms.values()), terms, {}, terms["reconstruction"], terms["kl"], -sum(terms.values()))

    held_out = scores(0.5) if validation else None
    return EpochRecord(epoch, 10 * epoch, 1.0, 100.0, 1e-3, {"reconstruction": 1, "kl": 1}, scores(0), held_out)


def split(n: int, shape: Shape, labelled: bool = True) -> Split:
    return Split(torch.rand(n, *shape), torch.arange(n) % 3 if labelled else None)


def cells(picture: np.ndarray[Any, Any], rows: int, columns: int, height: int, width: int) -> np.ndarray[Any, Any]:
    """The grey cells of a mosaic as (rows, columns, height, width), its gaps left out."""
    gap = (len(picture) - rows * height) // (rows + 1)
    assert gap > 0
    assert picture.shape == (rows * (height + gap) + gap, columns * (width + gap) + gap, 3)
    grid = picture[gap:, gap:, 0].reshape(rows, height + gap, columns, width + gap)
    return grid[:, :height, :, :width].swapaxes(1, 2)


# Pictures of a model


def test_reconstructions_lie_below_their_originals() -> None:
    model: Any = SimpleNamespace(reconstruct=lambda x, noise: 1 - x, limits=(0.0, 1.0))
    x = torch.tensor([0.0, 0.2, 0.4, 0.6]).reshape(4, 1, 1, 1).expand(4, 1, 2, 2)
    picture = plots.reconstructions(model, x, count=3, columns=2)
    assert (picture[117:131] == 255).all(), "pairs of rows are set apart"
    shown = cells(np.delete(picture, slice(117, 131), 0), 4, 2, 56, 56)
    assert (shown == shown[:, :, :1, :1]).all()
    assert shown[:, :, 0, 0].tolist() == [[0, 51], [255, 204], [102, 60], [153, 60]]


def test_reconstructions_take_bytes() -> None:
    model = linear(4, (1, 2, 2))
    raw = torch.tensor([[[[0, 51], [102, 255]]]], dtype=torch.uint8)
    shown = cells(plots.reconstructions(model, raw, columns=1), 2, 1, 56, 56)
    assert shown[:, 0, ::28, ::28].tolist() == [[[0, 51], [102, 255]]] * 2


def test_samples_are_the_same_for_the_same_seed_and_leave_the_random_state() -> None:
    model = linear(4, (1, 2, 2), "bernoulli")
    before = torch.get_rng_state()
    first = plots.samples(model, rows=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(plots.samples(model, rows=2), first)
    assert not np.array_equal(plots.samples(model, rows=2, seed=1), first)


def test_prior_quantiles_are_those_of_the_prior() -> None:
    model, probabilities = linear(3, (3,)), torch.tensor([0.01, 0.1, 0.5, 0.9, 0.99])
    before = torch.get_rng_state()
    found = latent_space.latent_quantiles(model, torch.zeros(1, 3), probabilities)
    assert torch.equal(torch.get_rng_state(), before)
    expected = Normal(0.0, 1.0).icdf(probabilities)
    density = Normal(0.0, 1.0).log_prob(expected).exp()
    error = (probabilities * (1 - probabilities) / 100_000).sqrt() / density
    assert found.shape == (5, 3)
    assert ((found - expected.unsqueeze(1)).abs() < 5 * error.unsqueeze(1)).all()


# Figures


def points(figure: Any) -> np.ndarray[Any, Any]:
    return np.concatenate([np.asarray(group.get_offsets()) for group in figure.axes[0].collections])


def test_two_latents_are_shown_as_they_are() -> None:
    data = Split(torch.randn(30, 2), None)
    np.testing.assert_allclose(points(plots.latents(linear(2, (2,)), data, None)), data.x.numpy(), atol=1e-6)


def test_more_latents_are_shown_by_their_principal_components() -> None:
    data = Split(torch.randn(40, 3) * torch.tensor([0.3, 2.0, 1.0]), None)
    figure = plots.latents(linear(3, (3,)), data, None)
    pca = PCA(2)
    expected, found = pca.fit_transform(data.x.numpy()), points(figure)
    signs = np.sign((expected * found).sum(0))
    np.testing.assert_allclose(found * signs, expected, atol=1e-4)
    for label, share in zip(
        (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()), pca.explained_variance_ratio_, strict=True
    ):
        assert f"{share:.0%}" in label


def test_a_single_latent_is_spread_out_beside_itself() -> None:
    data = Split(torch.randn(30, 1), None)
    found = points(plots.latents(linear(1, (1,)), data, None))
    np.testing.assert_allclose(found[:, 0], data.x[:, 0], atol=1e-6)
    assert len(np.unique(found[:, 1])) == 30


@pytest.mark.parametrize("classes", [None, ("pear", "apple", "plum")])
def test_each_class_has_a_colour_and_a_name(classes: tuple[str, ...] | None) -> None:
    data = split(12, (2,))
    axes = plots.latents(linear(2, (2,)), data, classes).axes[0]
    for label, group in enumerate(axes.collections):
        np.testing.assert_allclose(group.get_offsets(), data.x[data.labels == label], atol=1e-6)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(classes or "012")
    assert len({tuple(group.get_facecolor()[0]) for group in axes.collections}) == 3


def test_the_name_of_a_class_stands_in_the_middle_of_its_points() -> None:
    data = split(30, (2,))
    assert data.labels is not None
    axes = plots.latents(linear(2, (2,)), data, ("pear", "apple", "longer than points are wide")).axes[0]
    assert [text.get_text() for text in axes.texts] == ["pear", "apple", "longer…re wide"]
    for label, text in enumerate(axes.texts):
        middle = np.median(data.x[data.labels == label].numpy(), axis=0)
        np.testing.assert_allclose(text.get_position(), middle, rtol=1e-6)


def test_points_are_large_where_they_are_few_and_small_where_they_are_many() -> None:
    areas = []
    for count in (10, 400, 4000):
        axes = plots.latents(linear(2, (2,)), split(count, (2,), labelled=False), None).axes[0]
        areas.append(float(axes.collections[0].get_sizes()[0]))
    assert areas == [36.0, 20.0, 4.0]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_pictures_are_written_in_the_format_of_their_suffix_each_time_the_same(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        save(framed(np.zeros((9, 9, 3), np.uint8), "title"), tmp_path / f"{name}{suffix}")
    one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert one.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])
    assert len(one) == len(two)
    assert one == two


def test_a_picture_of_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"choose one of \.png, \.svg, \.pdf"):
        save(framed(np.zeros((9, 9, 3), np.uint8), "title"), tmp_path / "picture.gif")
    assert list(tmp_path.iterdir()) == []


def test_more_than_ten_classes_still_have_a_colour_each() -> None:
    data = Split(torch.randn(24, 2), torch.arange(24) % 12)
    axes = plots.latents(linear(2, (2,)), data, None).axes[0]
    assert len({tuple(group.get_facecolor()[0]) for group in axes.collections}) == 12


def test_without_labels_there_is_no_legend() -> None:
    assert plots.latents(linear(2, (2,)), split(12, (2,), labelled=False), None).axes[0].get_legend() is None


def axes_of_two() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    return tuple(Figure().subplots(1, 2))


@pytest.mark.parametrize(
    ("latent", "said"), [(1, ""), (2, ""), (3, ", 3 dimensions seen along two"), (7, ", 7 dimensions seen along two")]
)
def test_latents_are_drawn_into_given_axes_and_it_says_how_many_dimensions_there_are(latent: int, said: str) -> None:
    drawn, left = axes_of_two()
    data = Split(torch.randn(30, latent), torch.arange(30) % 3)
    assert latent_space.draw_latents(drawn, linear(latent, (latent,)), data, None) == said
    alone = plots.latents(linear(latent, (latent,)), data, None)
    assert alone.axes[0].get_title() == f"posterior means of held-out data{said}"
    found = np.concatenate([np.asarray(group.get_offsets()) for group in drawn.collections])
    np.testing.assert_allclose(found, points(alone))
    assert drawn.get_title() == ""
    assert not left.collections


def test_a_legend_can_be_left_out() -> None:
    shown, hidden = axes_of_two()
    model, data = linear(2, (2,)), split(12, (2,))
    latent_space.draw_latents(shown, model, data, ("pear", "apple", "plum"))
    latent_space.draw_latents(hidden, model, data, ("pear", "apple", "plum"), legend=False)
    assert [text.get_text() for text in shown.get_legend().get_texts()] == ["pear", "apple", "plum"]
    assert hidden.get_legend() is None
    assert len(hidden.collections) == len(shown.collections) == 3


def test_of_many_data_the_first_are_drawn_each_in_its_colour() -> None:
    axes, _ = axes_of_two()
    data = split(40, (2,))
    latent_space.draw_latents(axes, linear(2, (2,)), data, None, most=10)
    assert [len(group.get_offsets()) for group in axes.collections] == [4, 3, 3]
    for label, group in enumerate(axes.collections):
        np.testing.assert_allclose(group.get_offsets(), data.x[:10][data.labels[:10] == label], atol=1e-6)


@pytest.mark.parametrize("latent", [1, 3])
def test_drawing_latents_leaves_the_random_state_as_it_was(latent: int) -> None:
    model, data = linear(latent, (latent,)), split(12, (latent,))
    before = torch.get_rng_state()
    latent_space.draw_latents(axes_of_two()[0], model, data, None)
    assert torch.equal(torch.get_rng_state(), before)


ALWAYS = {"filters.png", "reconstructions.png", "samples.png", "latents.png", "loss.png"}


@pytest.mark.parametrize(
    ("latent", "shape", "labelled", "more"),
    [
        (2, (1, 4, 4), True, {"manifold.png"}),
        (2, (8, 8), False, {"manifold.png", "series.png"}),
        (3, (3, 4, 4), False, {"traversals.png"}),
        (1, (6,), True, {"traversals.png"}),
    ],
)
def test_every_picture_that_there_is_gets_written(
    tmp_path: Path, latent: int, shape: Shape, labelled: bool, more: set[str]
) -> None:
    model = linear(latent, shape, "bernoulli")
    data = Dataset(split(20, shape, labelled), None, split(9, shape, labelled), None, False)
    written = plots.draw_all(model, data, [record(1, False), record(2, False)], tmp_path / "pictures")
    assert {path.name for path in written} == ALWAYS | more
    assert set((tmp_path / "pictures").iterdir()) == set(written)
    for path in written:
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert len(image.convert("L").getcolors() or range(256)) > 2, path.name


@pytest.mark.parametrize(("held_out", "expected"), [("test", 4), ("validation", 5), (None, 6)])
def test_held_out_data_are_shown_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_out: str | None, expected: int
) -> None:
    parts = [split(6, (2,)), split(5, (2,)) if held_out else None, split(4, (2,)) if held_out == "test" else None]
    shown: list[int] = []
    pixels = np.zeros((9, 9, 3), np.uint8)
    monkeypatch.setattr(plots, "reconstructions", lambda _, data: shown.append(len(data.x)) or pixels)
    monkeypatch.setattr(plots, "samples", lambda _: pixels)
    monkeypatch.setattr(plots, "manifold_figure", lambda *_: framed(pixels, ""))
    plots.draw_all(linear(2, (2,)), Dataset(*parts, None, False), [record(1)], tmp_path)
    assert shown == [expected]


HARD_NAMES = (
    "$5_to_$10",
    "A$AP_$",
    r"\frac{",
    "_background",
    os.fsdecode(b"caf\xe9"),
    "a\nb\x1b[2J",
    "\u732b",
    "x" * 500,
)


@pytest.mark.parametrize("latent", [2, 3])
def test_names_of_classes_are_drawn_as_they_are(tmp_path: Path, latent: int) -> None:
    data = Split(torch.randn(24, latent), torch.arange(24) % len(HARD_NAMES))
    figure = plots.latents(linear(latent, (latent,)), data, HARD_NAMES)
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts[:4] == list(HARD_NAMES[:4])
    assert texts[4:7] == [r"caf\udce9", r"a\nb\x1b[2J", "\u732b"]
    assert texts[7] == "x" * 19 + "\u2026" + "x" * 20
    save(figure, tmp_path / "latents.png")
    assert not any(text.get_parse_math() for text in figure.axes[0].get_legend().get_texts())


@pytest.mark.parametrize("latent", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 4, 4), (6,)])
def test_a_single_test_datum_is_drawn(tmp_path: Path, latent: int, shape: Shape) -> None:
    data = Dataset(split(5, shape), None, split(1, shape), None, False)
    names = {path.stem for path in plots.draw_all(linear(latent, shape), data, [record(1)], tmp_path)}
    assert names >= {"loss", "reconstructions", "latents", "samples"}


def test_one_class_and_equal_codes_are_drawn(tmp_path: Path) -> None:
    alike = Split(torch.full((6, 3), 0.5), torch.zeros(6, dtype=torch.long))
    written = plots.draw_all(linear(3, (3,)), Dataset(alike, None, None, ("one",), False), [record(1)], tmp_path)
    assert {path.stem for path in written} == {path.removesuffix(".png") for path in ALWAYS} | {"traversals"}


def test_a_picture_that_fails_is_named_and_the_others_are_drawn(tmp_path: Path) -> None:
    (tmp_path / "latents.png").write_bytes(b"a picture of other weights")
    model, data = linear(3, (3,)), Dataset(split(4, (3,)), None, None, None, False)
    torch.nn.init.constant_(model.sampler.mean.bias, torch.nan)
    with pytest.warns(GenkitWarning) as said:
        written = plots.draw_all(model, data, [record(1)], tmp_path)
    assert [str(one.message).split(": encode gives")[0] for one in said] == [
        f"picture '{name}' could not be drawn" for name in ("reconstructions", "latents", "traversals")
    ]
    assert {path.name for path in written} == {"loss.png", "filters.png", "samples.png"}
    assert not (tmp_path / "latents.png").exists()


def test_a_picture_that_breaks_down_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Any:
        raise torch.linalg.LinAlgError("it did not\nconverge")

    monkeypatch.setattr(latent_space, "_principal", fails)
    with pytest.warns(GenkitWarning, match=r"^picture 'latents' could not be drawn: \w+: it did not converge$"):
        plots.draw_all(linear(3, (3,)), Dataset(split(4, (3,)), None, None, None, False), [record(1)], tmp_path)


def test_a_folder_that_cannot_be_written_is_a_warning_per_picture(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("a file")
    data = Dataset(split(4, (2,)), None, None, None, False)
    with pytest.warns(GenkitWarning, match=r"picture '\w+' could not be drawn: cannot write .*\.png"):
        assert plots.draw_all(linear(2, (2,)), data, [record(1)], tmp_path / "pictures") == []


def test_an_interruption_ends_the_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(plots, "losses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plots.draw_all(linear(2, (2,)), Dataset(split(4, (2,)), None, None, None, False), [record(1)], tmp_path)


def test_drawing_needs_no_display_and_leaves_nothing_global(tmp_path: Path) -> None:
    plots.draw_all(linear(2, (1, 2, 2)), Dataset(split(4, (1, 2, 2)), None, None, None, False), [record(1)], tmp_path)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


# Weights and activations


def test_filters_are_the_first_layers_weights_with_zero_in_the_middle_the_largest_first() -> None:
    model = linear(2, (1, 2, 2))
    weights = plots.first_weights(model)
    assert weights is not None
    norms = weights.flatten(1).norm(dim=1)
    assert torch.equal(norms, norms.sort(descending=True).values)
    shown = cells(plots.filters(torch.tensor([[[[2.0, 0.0], [-2.0, 1.0]]]])), 1, 1, 56, 56)
    assert shown[0, 0, 0, 0] == 255
    assert shown[0, 0, 0, -1] == 128
    assert shown[0, 0, -1, 0] == 0
    assert shown[0, 0, -1, -1] == 191


def test_activations_show_the_mean_of_each_unit() -> None:
    data = torch.rand(40, 2) + torch.tensor([0.0, 3.0])
    axes = plots.activations(linear(2, (2,)), data).axes[0]
    heights = [patch.get_height() for patch in axes.patches]
    assert sum(heights) == 2
    lefts = [patch.get_x() for patch in axes.patches if patch.get_height() > 0]
    assert lefts[0] == pytest.approx(data[:, 0].mean().item(), abs=0.1)
    assert lefts[1] == pytest.approx(data[:, 1].mean().item(), abs=0.1)


@pytest.mark.parametrize(
    ("side", "heads"),
    [
        (Side(classes=2), ("0", "1")),
        (Side(classes=2, names=("cat", "dog")), ("cat", "dog")),
        (Side(classes=21), ()),
        (Side(shape=(2,)), ()),
    ],
)
def test_samples_have_a_column_for_each_class_under_its_name(side: Side, heads: tuple[str, ...]) -> None:
    model: Any = SimpleNamespace(decoder_inputs=("labels",), schema=Schema((1, 8, 8), {"labels": side}))
    assert plots.turns(model) == heads
