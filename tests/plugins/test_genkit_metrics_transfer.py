"""Training on sampled rows: for rows that carry the classes, and for rows that do not."""

import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from genkit.data.dataset import Dataset
from genkit.errors import DataError, MetricError
from genkit.evaluation.metrics import measure
from genkit.interfaces import Column, MetricData, Schema, Side, Split
from genkit.interfaces.columns import laid_out
from genkit_metrics import TrainOnSampled
from tests.models import built

COLUMNS = laid_out(
    [
        Column(name="size", kind="numeric"),
        Column(name="port", kind="categorical", categories=("a", "b", "c"), mark=0),
        Column(name="same", kind="categorical", categories=("A", "B", "C")),
        Column(name="alone", kind="boolean", categories=("no", "yes")),
    ]
)


def rows(count, seed, informative=True):
    """Rows whose size goes with the port if they are informative: size, port (3), same (3), alone, mark of the port."""
    generator = torch.Generator().manual_seed(seed)
    port = torch.randint(3, (count,), generator=generator)
    size = torch.randn(count, 1, generator=generator) + (5.0 * port[:, None] if informative else 0)
    one_hot = torch.nn.functional.one_hot(port, 3).float()
    alone = (size > 5).float()
    return torch.cat([size, one_hot, one_hot, alone, torch.zeros(count, 1)], 1)


def figures(sampled, train=None, test=None, columns=COLUMNS, labels=(None, None, None), **options):
    train, test = rows(300, 0) if train is None else train, rows(200, 1) if test is None else test
    splits = [Split(x, each) for x, each in zip((test, train, sampled), labels, strict=True)]
    data = MetricData(splits[0], splits[1], None, None, lambda n: splits[2].first(n), columns)
    return TrainOnSampled(TrainOnSampled.Config(**options)).measure(None, data, 3)


def test_sampled_rows_that_carry_the_classes_serve_as_real_ones_and_others_do_not():
    good = figures(rows(300, 2), label="port", without=["same"])
    bad = figures(rows(300, 2, informative=False), label="port", without=["same"])
    assert good["real"] == bad["real"] > 0.9
    assert good["sampled"] > 0.9
    assert bad["sampled"] < good["sampled"] - 0.3
    port = rows(300, 0)[:, 1:4].argmax(1)
    most = int(port.bincount().argmax())
    assert good["most_frequent"] == pytest.approx(float((rows(200, 1)[:, 1:4].argmax(1) == most).float().mean()))


def test_the_accuracy_is_that_of_a_random_forest_on_the_other_columns():
    train, test = rows(300, 0), rows(200, 1)
    places = [0, 7]
    forest = RandomForestClassifier(100, random_state=3).fit(train[:, places].numpy(), train[:, 1:4].argmax(1).numpy())
    expected = forest.score(test[:, places].numpy(), test[:, 1:4].argmax(1).numpy())
    assert figures(train, label="port", without=["same"])["real"] == pytest.approx(expected, abs=0.02)


def test_columns_that_say_the_same_are_seen_unless_they_are_left_out():
    assert figures(rows(300, 2, informative=False), label="port")["sampled"] > 0.95


def test_rows_without_the_label_are_left_out():
    train = rows(300, 0)
    train[:100, 8], train[:100, 1:4] = 1, 0
    assert figures(train, train, label="port", without=["same"])["real"] > 0.9
    train[:, 8] = 1
    with pytest.raises(DataError, match="the label is missing in all of the rows"):
        figures(rows(300, 2), train, label="port")


def test_truths_are_classes():
    assert figures(rows(300, 2), label="alone")["sampled"] > 0.97


def test_the_labels_of_a_conditional_model_are_the_classes():
    torch.manual_seed(0)
    x = torch.randn(90, 3)
    labels = torch.arange(90) % 3
    schema = Schema((3,), {"labels": Side(classes=3)})
    model = built(schema, condition="labels")
    splits = Split(x[:60], labels[:60]), Split(x[60:], labels[60:])
    data = Dataset(splits[0], None, splits[1], None, False, side=schema.side)
    one, again = (measure(model, data, TrainOnSampled.Config(), seed=1) for _ in range(2))
    assert one == again
    assert one["most_frequent"] == pytest.approx(1 / 3)
    with pytest.raises(MetricError, match="sampled data have no labels to predict: train the model with condition"):
        measure(built(schema), data, TrainOnSampled.Config())


@pytest.mark.parametrize(
    ("options", "columns", "message"),
    [
        ({"label": "prot"}, COLUMNS, "there is no column 'prot'; there are size, port, same, alone"),
        ({"label": "port", "without": ["x"]}, COLUMNS, "there is no column 'x'"),
        ({"label": "size"}, COLUMNS, "column 'size' has no classes, it is numeric; name one that has"),
        ({"label": "port"}, (), "there is no column 'port'; there are none, as the data are no table"),
    ],
)
def test_columns_that_are_no_classes_are_refused(options, columns, message):
    with pytest.raises(DataError, match=message):
        figures(rows(9, 2), columns=columns, **options)
