"""Figures as HTML: every figure with its unit and direction, and no text that is read as markup."""

from genkit.evaluation.figure_tables import Column, shown, table
from genkit.interfaces import Description
from tests.markup import ATTACK, Tags


def test_a_row_has_the_name_the_unit_the_direction_and_a_value_for_each_model():
    rows = {"a": Description("A", "nats", "higher", "What A is."), "b": Description("B"), "c": Description("C")}
    page = Tags(table("title", [Column("one", {"a": "1.00"}), Column("two", {"a": "2.00", "b": "3"})], rows))
    cells = ["title", "figure", "unit", "better", "one", "two", "A", "nats", "↑ higher", "1.00", "2.00", "B", "–", "3"]
    assert page.texts == cells
    assert page.titles == ["What A is."]


def test_nothing_is_read_as_markup():
    rows = {"a": Description(ATTACK, ATTACK, None, ATTACK)}
    page = Tags(table(ATTACK, [Column(ATTACK, {"a": ATTACK})], rows))
    assert {*page.tags} == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert page.texts.count(ATTACK) == 5
    assert page.titles == [ATTACK]
    assert shown("a\x1b[31m\n") == r"a\x1b[31m\n"
