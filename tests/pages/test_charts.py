import json
import math

import pytest

from genkit.pages.charts import POINTS, ROWS, Chart, Line, number


def chart(count, *names):
    return Chart("t", [Line(name, [place * 1.0 for place in range(count)]) for name in names], range(1, count + 1))


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (-24.7391, ",.2f", "−24.74"),
        (None, ",.2f", "–"),
        (math.nan, ",d", "–"),
        (12345, ",d", "12,345"),
        (0.5, ".0%", "50%"),
    ],
)
def test_numbers_are_shown_in_their_form(value, form, text):
    assert number(value, form) == text


def test_values_that_json_does_not_have_are_gaps():
    lines = [Line("a", [1.0, None, math.inf, math.nan, 1 / 3])]
    drawn = Chart("t", lines, [1, 2, 3, 4, 5]).drawn()
    (line,) = drawn.pop("lines")
    assert line == {"name": "a", "y": [1, None, None, None, 0.333333], "style": 0}
    assert drawn == {"x": [1, 2, 3, 4, 5], "x_label": "epoch"}
    json.dumps(drawn, allow_nan=False)
    assert [row[1] for row in Chart("t", lines, range(5)).rows()] == ["1", "–", "–", "–", "0.3333"]


@pytest.mark.parametrize("count", [1, 2, ROWS, ROWS + 1, 5 * POINTS + 7])
def test_long_lines_are_thinned_between_their_ends(count):
    one = chart(count, "a", "b")
    rows, drawn = one.rows(), one.drawn()
    assert len(rows) == min(count, ROWS)
    assert len(drawn["x"]) == min(count, POINTS) == len(drawn["lines"][1]["y"])
    assert (drawn["x"][0], drawn["x"][-1]) == (1, count)
    assert all(y == x - 1 for x, y in zip(drawn["x"], drawn["lines"][0]["y"], strict=True))
    steps = {after - before for before, after in zip(drawn["x"], drawn["x"][1:], strict=False)}
    assert len(steps) <= 2


def test_names_of_lines_hide_nothing():
    assert chart(2, "a\u202eb").drawn()["lines"][0]["name"] == r"a\u202eb"


def test_a_line_keeps_its_style_where_others_are_missing():
    lines = [Line("b", [1.0], style=3), Line("c", [2.0])]
    assert [line["style"] for line in Chart("t", lines, [1]).drawn()["lines"]] == [3, 1]
