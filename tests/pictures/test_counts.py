"""Pictures of counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genkit.interfaces import Column, Schema, Side, Split
from genkit.interfaces.columns import laid_out
from genkit.model.building import build
from genkit.model.model import Model
from genkit.pictures import counts, plots
from genkit.runs.opening import as_config

GENES = 7


@pytest.fixture(scope="module")
def model() -> Model:
    config = {
        "data": "digits",
        "encoder_transform": "log1p",
        "encoder": {"name": "mlp", "hidden": [8]},
        "sampler": {"name": "gaussian", "latent": 3},
        "decoder": {"name": "mlp", "hidden": [8]},
        "likelihood": "negative_binomial",
        "loss": ["reconstruction", "kl"],
    }
    columns = laid_out(Column(name=f"gene{place}", kind="count") for place in range(GENES))
    side = {"library": Side(), "batch": Side(classes=2, names=("a", "b"))}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build(as_config(config), Schema((GENES,), side, columns=columns))


def split(count: int, labelled: bool = False) -> Split:
    generator = torch.Generator().manual_seed(count)
    x = torch.poisson(4 * torch.rand(count, GENES, generator=generator), generator)
    x[:, 0] += 1
    side = {"library": x.sum(1), "batch": torch.arange(count) % 2}
    return Split(x, torch.arange(count) % 3 if labelled else None, side)


def test_each_gene_is_a_point_with_its_mean_and_variance(model: Model) -> None:
    some = split(300)
    figure = counts.genes(model, some)
    for axes, values in zip(figure.axes, (some.x.double().mean(0), some.x.double().var(0, correction=0)), strict=True):
        points = axes.collections[0].get_offsets()
        np.testing.assert_allclose(points[:, 0], values.clamp_min(0.5 / 300))
        assert points.shape == (GENES, 2)
    totals = [float(axes.collections[0].get_offsets()[:, 1].sum()) for axes in figure.axes]
    assert totals[0] == pytest.approx(float(some.x.sum(1).mean()), rel=0.1)


def test_the_draws_of_a_picture_are_always_the_same_ones(model: Model) -> None:
    first, again = (counts.genes(model, split(50)).axes[0].collections[0].get_offsets() for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("count", [1, 3, 20, 60])
def test_cells_are_coloured_by_their_labels_or_else_their_batch_and_by_their_depth(model: Model, count: int) -> None:
    figure = counts.neighbours(model, split(count, labelled=True), ("T", "B", "NK"))
    assert figure.axes[0].get_title().startswith("labels: ")
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == ["T", "B", "NK"][: min(3, count)]
    figure = counts.neighbours(model, split(count), None)
    assert figure.axes[0].get_title().startswith("batch: ")
    np.testing.assert_allclose(
        figure.axes[1].collections[0].get_array(), split(count).x.sum(1).log10().numpy(), rtol=1e-5
    )
    depths = Split(split(count).x, None, {"library": split(count).side["library"]})
    assert len(counts.neighbours(model, depths, None).axes) == 2  # with the bar of its colours


def test_agreement_of_neighbours_is_that_of_a_count_by_hand() -> None:
    generator = np.random.default_rng(0)
    z, labels = generator.normal(size=(40, 2)), generator.integers(0, 3, 40)
    distances = ((z[:, None] - z[None]) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argsort(1)[:, : counts.NEIGHBOURS]
    alike = [np.mean(labels[row] == label) for row, label in zip(nearest, labels, strict=True)]
    pairs = [labels[a] == labels[b] for a in range(40) for b in range(40) if a != b]
    assert counts.agreement(z, labels) == pytest.approx((np.mean(alike), np.mean(pairs)))


def test_counts_are_never_drawn_as_images(model: Model) -> None:
    class Data:
        train = test = validation = split(40)
        classes = None

    drawn = plots._pictures(model, Data(), ())  # type: ignore[arg-type]
    assert set(drawn) == {"latents", "genes", "neighbours"}
