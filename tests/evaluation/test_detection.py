"""Thresholds and separations against counting, and against scikit-learn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from genkit.errors import DataError
from genkit.evaluation.detection import anomalies, separation, threshold
from genkit.interfaces import Split


@given(count=st.integers(1, 300), alarms=st.integers(0, 300), seed=st.integers(0, 9))
@settings(deadline=None, database=None)
def test_the_false_alarm_rate_of_a_threshold_is_exact(count, alarms, seed):
    alarms = min(alarms, count - 1)
    scores = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).double() / 7
    limit = threshold(scores, alarms / count)
    assert int((scores > limit.value).sum()) == limit.alarms == alarms
    assert limit.rate == alarms / count
    assert limit.value in scores


def test_a_rate_between_two_counts_is_never_exceeded():
    assert threshold(torch.arange(10.0), 0.29).alarms == 2
    assert threshold(torch.arange(99.0), 0.01).alarms == 0
    assert threshold(torch.tensor([1.0, 1, 1, 2]), 0.5).alarms == 1


def test_scores_are_told_apart_as_scikit_learn_says():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(200, generator=generator) < 0.1
    scores = torch.randn(200, generator=generator).double() + truth
    figures = separation(scores, truth)
    pairs = (scores[truth][:, None] > scores[~truth][None]).double().mean()
    assert figures.auroc == pytest.approx(float(pairs)) == pytest.approx(roc_auc_score(truth, scores))
    assert figures.average_precision == pytest.approx(average_precision_score(truth, scores))
    assert (figures.anomalies, figures.others) == (int(truth.sum()), int((~truth).sum()))


@pytest.mark.parametrize("truth", [torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)])
def test_one_kind_alone_cannot_be_told_apart(truth):
    with pytest.raises(DataError, match=r"there are [04] anomalies and [04] other data, and AUROC compares both"):
        separation(torch.zeros(4), truth)


def test_a_threshold_needs_scores():
    with pytest.raises(DataError, match="needs scores of usual data, and there are none"):
        threshold(torch.zeros(0), 0.1)


def test_anomalies_are_named_by_classes():
    split = Split(torch.zeros(4, 1), torch.tensor([0, 2, 1, 2]))
    assert anomalies(split, ("a", "b", "c"), ["c", "b"]).tolist() == [False, True, True, True]
    assert anomalies(split, None, [2]).tolist() == [False, True, False, True]
    with pytest.raises(DataError, match="anomalies: there is no class 'd'; there are a, b, c"):
        anomalies(split, ("a", "b", "c"), ["d"])
    with pytest.raises(DataError, match="the data have no labels that say which are anomalies"):
        anomalies(Split(torch.zeros(4, 1), None), None, ["d"])
