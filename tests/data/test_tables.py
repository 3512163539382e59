import datetime

import pytest
import torch

from genkit.data.tables import as_text, table_of, type_of
from genkit.interfaces import Column
from genkit.interfaces.columns import fits, laid_out


def one(x, **options):
    (column,) = laid_out([Column(name="c", **options)])
    return table_of(torch.tensor(x), [column])["c"]


def test_numbers_have_the_digits_that_they_were_written_with():
    assert one([[7.28329]], kind="numeric", decimals=4) == [7.2833]
    assert one([[2.7]], kind="numeric", decimals=0) == [3]
    assert one([[0.1234567891]], kind="numeric") == [0.1234568]


def test_the_likeliest_category_and_what_is_missing():
    options = {"kind": "categorical", "categories": ("1", "b"), "mark": 0}
    assert one([[0.3, 0.7, 0.2], [0.9, 0.1, 0.5]], **options) == ["b", None]


@pytest.mark.parametrize(
    ("categories", "values", "kind"),
    [
        (("False", "True"), [False, True], bool),
        (("0", "1"), [0, 1], int),
        (("0.0", "1.0"), [0.0, 1.0], float),
        (("no", "yes"), ["no", "yes"], str),
    ],
)
def test_truths_are_those_of_the_file(categories, values, kind):
    columns = laid_out([Column(name="c", kind="boolean", categories=categories)])
    table = table_of(torch.tensor([[0.4], [0.6]]), columns)
    assert table["c"] == values
    assert [type(value) for value in table["c"]] == [kind] * 2
    assert type_of(columns[0]) is kind
    assert as_text(table, columns)["c"] == [*categories]


def test_dates_beyond_the_calendar_are_its_ends():
    assert one([[1e9], [-1e9]], kind="date", form="%d.%m.%Y") == [datetime.date.max, datetime.date.min]


def test_columns_fill_a_datum_exactly():
    columns = laid_out([Column(name="a", kind="numeric", mark=0), Column(name="b", kind="constant")])
    assert fits(columns, (2,))
    assert not fits(columns, (3,))
    assert not fits(columns, (1, 2))
    assert not fits([columns[0], columns[0]], (2,))


def test_columns_of_a_damaged_file_are_refused():
    for wrong in ({"kind": "boolean"}, {"kind": "date"}, {"kind": "numeric", "categories": ("a",)}):
        with pytest.raises(ValueError, match="c"):
            Column(name="c", **wrong)
