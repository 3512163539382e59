import math

import pytest
import torch

from genkit.record.totals import BATCHES_PER_SUM, Total


@pytest.mark.parametrize("batches", [1, BATCHES_PER_SUM - 1, BATCHES_PER_SUM, 3 * BATCHES_PER_SUM + 1])
def test_a_total_is_the_mean_over_data_however_many_batches_there_are(batches):
    values = torch.randn(batches, 2, generator=torch.Generator().manual_seed(0))
    sizes = [100] * (batches - 1) + [7]
    total = Total(torch.float64)
    for (first, second), size in zip(values, sizes, strict=True):
        total.add({"term/reconstruction": first, "kl": second}, size)
    scores = total.scores({"reconstruction": 2.0})
    means = [math.fsum(v * s for v, s in zip(column, sizes, strict=True)) / sum(sizes) for column in values.T.tolist()]
    assert scores.terms["reconstruction"] == pytest.approx(means[0], rel=1e-12)
    assert scores.loss == pytest.approx(2 * means[0], rel=1e-12)
    assert scores.kl == pytest.approx(means[1], rel=1e-12)
    assert total.count == sum(sizes)


def test_what_is_known_so_far_stays_in_the_total():
    total = Total(torch.float64)
    seen = []
    for value in (1.0, 2.0, 6.0):
        total.add({"term/a": torch.tensor(value)}, 10)
        seen.append(total.so_far({"a": 1.0}).loss)
    assert seen == [1.0, 1.5, 3.0]
    assert total.scores({"a": 1.0}).loss == 3.0


def test_asking_in_between_changes_no_bit_of_the_sums():
    totals = Total(torch.float64), Total(torch.float64)
    for value in torch.rand(3 * BATCHES_PER_SUM, generator=torch.Generator().manual_seed(0)):
        for asked, total in enumerate(totals):
            total.add({"term/a": value}, 3)
            if asked:
                total.so_far({"a": 1.0})
    assert totals[0].scores({"a": 1.0}) == totals[1].scores({"a": 1.0})
