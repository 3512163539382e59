"""The closest record: against scikit-learn, and for models that repeat or generalize."""

import math

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from genkit.data.dataset import Dataset
from genkit.errors import MetricError
from genkit.evaluation.metrics import measure
from genkit.interfaces import Column, MetricData, Split
from genkit.interfaces.columns import laid_out
from genkit_metrics import ClosestRecord
from genkit_metrics.closest import closest
from genkit_metrics.units import Units
from tests.models import built

COLUMNS = laid_out(
    [
        Column(name="fare", kind="numeric", mark=0),
        Column(name="port", kind="categorical", categories=("a", "b", "c")),
        Column(name="alone", kind="boolean", categories=("no", "yes")),
    ]
)
ROWS = torch.tensor(  # fare, port (3), alone, mark of the fare
    [
        [10.0, 1, 0, 0, 0, 0],
        [30.0, 1, 0, 0, 0, 0],
        [10.0, 0, 1, 0, 0, 0],
        [10.0, 0, 1, 0, 1, 0],
        [0.0, 0, 1, 0, 1, 1],
    ]
)


def material(train, test, sampled, columns=()):
    """What a metric sees of data, and of a model that gives some rows in turn."""
    split = Split(test, None)
    return MetricData(
        split, Split(train, None), None, None, lambda n: Split(sampled[torch.arange(n) % len(sampled)], None), columns
    )


def figures(train, test, sampled, columns=(), **options):
    return ClosestRecord(ClosestRecord.Config(**options)).measure(None, material(train, test, sampled, columns), 0)


def normal(count, seed):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def test_distances_count_deviations_categories_truths_and_missing_values_as_one():
    x = Units(Split(ROWS, None), COLUMNS)(Split(ROWS, None))
    deviation = ROWS[:4, 0].std(correction=0)
    distances = torch.cdist(x, x)
    assert float(distances[0, 1]) == pytest.approx(float(20 / deviation))
    assert float(distances[0, 2]) == pytest.approx(1)
    assert float(distances[2, 3]) == pytest.approx(1)
    away = float((10 - ROWS[:4, 0].mean()) / deviation)
    assert float(distances[3, 4]) == pytest.approx(math.sqrt(1 + away**2))


def test_values_under_a_mark_count_nothing():
    other = ROWS.clone()
    other[4, 0] = 1e6  # a drawn row has a value, though it is marked as missing
    units = Units(Split(ROWS, None), COLUMNS)
    assert torch.equal(units(Split(other, None)), units(Split(ROWS, None)))


def test_vectors_are_standardized_and_bytes_are_shares():
    x = normal(50, 0) * 7 + 3
    expected = (x - x.mean(0)) / x.std(0, correction=0)
    torch.testing.assert_close(Units(Split(x, None), ())(Split(x, None)), expected, rtol=1e-4, atol=1e-5)
    images = Split(torch.arange(24, dtype=torch.uint8).view(2, 3, 4), None)
    assert torch.equal(Units(images, ())(images), images.x.flatten(1) / 255)


def test_steps_of_series_that_are_not_there_count_nothing():
    x, mask = normal(4, 0).view(2, 3, 2), torch.tensor([[1.0, 1, 0], [1, 1, 1]])
    one, other = (
        Split(x.masked_fill((mask == 0).unsqueeze(2), value), None, {"mask": mask}) for value in (9, torch.nan)
    )
    assert torch.equal(Units(one, ())(one), Units(other, ())(other))


def test_the_closest_is_that_of_scikit_learn():
    x, records = normal(40, 1), normal(70, 2)
    expected = NearestNeighbors(n_neighbors=1).fit(records.numpy()).kneighbors(x.numpy())[0][:, 0]
    torch.testing.assert_close(closest(x, records), torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-6)


def test_sampled_data_like_held_out_ones_are_as_far_and_repeated_ones_are_copies():
    train, test, sampled = normal(800, 0), normal(800, 1), normal(800, 2)
    like = figures(train, test, sampled)
    assert like["closer"] == pytest.approx(0.5, abs=0.06)
    assert like["sampled"] == pytest.approx(like["held_out"], rel=0.1)
    assert like["copies"] == 0
    repeated = figures(train, test, train)
    assert (repeated["closer"], repeated["copies"], repeated["sampled"]) == (1, 1, 0)
    assert repeated["held_out"] == like["held_out"]
    near = figures(train, test, train + 0.01 * normal(800, 3))
    assert near["closer"] > 0.98
    assert near["copies"] == 0


def test_of_a_model_it_draws_with_the_seed_and_conditions_come_from_training_data():
    torch.manual_seed(0)
    model = built((3,))
    data = Dataset(Split(normal(50, 0), None), None, Split(normal(30, 1), None), None, False)
    one, other, again = (measure(model, data, ClosestRecord.Config(), seed=seed) for seed in (0, 1, 0))
    assert one == again
    assert one["sampled"] != other["sampled"]
    assert one["held_out"] == other["held_out"]


def test_a_model_without_a_prior_is_refused():
    torch.manual_seed(0)
    model = built((3,), sampler={"name": "point", "latent": 2}, loss="reconstruction")
    data = Dataset(Split(normal(9, 0), None), None, Split(normal(9, 1), None), None, False)
    with pytest.raises(MetricError, match="metric 'closest_record' needs a prior to draw from, and sampler"):
        measure(model, data, ClosestRecord.Config())
