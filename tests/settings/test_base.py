"""Strictness, helpful messages and fields that a name chooses."""

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from genkit.errors import ConfigError
from genkit.settings.base import ChosenByName, Settings, nearest


class Leaf(Settings):
    name: str = "leaf"
    size: Annotated[int, Field(ge=1)] = 1


class Needle(Settings):
    name: str = "needle"
    points: tuple[float, ...] = ()


PARTS = {"leaf": Leaf, "needle": Needle}


def find(name):
    if name not in PARTS:
        raise ConfigError(f"unknown part '{name}'; {nearest(name, PARTS)}")
    return PARTS[name]


class Parts:
    def settings(self, kind, name):
        return find(name)

    def spellings(self, kind):
        return {}


Part = Annotated[Settings, ChosenByName("part", Parts())]


class Tree(Settings):
    part: Part = Leaf()
    rate: float = 0.5
    count: int = 3
    tall: bool = False
    label: str | None = None
    first: Annotated[int, Field(alias="from")] = 0
    pair: tuple[int, int] = (0, 0)
    grid: tuple[tuple[int, ...], ...] | None = None


def problems(**values):
    """(type, location, message) of everything that is wrong with a tree of these values."""
    with pytest.raises(ValidationError) as caught:
        Tree.model_validate(values)
    return [(error["type"], error["loc"], error["msg"]) for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("word", "candidates", "sentence"),
    [
        ("adm", ["sgd", "adam"], "did you mean 'adam'?"),
        ("zzz", ["sgd", "adam"], "known: adam, sgd"),
        ("zzz", [], "none is known"),
    ],
)
def test_nearest_gives_the_closest_word_or_all_of_them(word, candidates, sentence):
    assert nearest(word, candidates) == sentence


def test_unknown_key_suggests_the_nearest():
    assert problems(cuont=1) == [("unknown_key", ("cuont",), "unknown key 'cuont'; did you mean 'count'?")]


def test_unknown_key_like_no_other_lists_those_that_users_write():
    ((_, _, message),) = problems(xyzzy=1)
    assert message == "unknown key 'xyzzy'; known: count, from, grid, label, pair, part, rate, tall"


def test_unknown_key_with_braces_is_shown_as_it_is():
    ((_, _, message),) = problems(**{"{count}": 1})
    assert "unknown key '{count}'; did you mean 'count'?" in message


def test_unknown_key_of_nested_settings_is_explained_once_and_in_its_place():
    assert problems(part={"name": "leaf", "sise": 2}) == [
        ("unknown_key", ("part", "sise"), "unknown key 'sise'; did you mean 'size'?")
    ]


def test_everything_that_is_wrong_is_listed_at_once():
    found = problems(rate="fast", count=1.5, part={"name": "leaf", "size": 0}, colour="green")
    assert {location for _, location, _ in found} == {("rate",), ("count",), ("part", "size"), ("colour",)}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("count", "20"),
        ("count", True),
        ("count", 2.0),
        ("rate", "0.5"),
        ("rate", True),
        ("tall", 1),
        ("tall", "yes"),
        ("label", 3),
        ("pair", "ab"),
        ("pair", 5),
    ],
)
def test_types_are_never_guessed(key, value):
    assert [location for _, location, _ in problems(**{key: value})] == [(key,)]


@pytest.mark.parametrize("item", ["20", True, 1.5])
def test_types_inside_a_list_are_never_guessed(item):
    ((_, location, _),) = problems(pair=[1, item])
    assert location == ("pair", 1)


def test_whole_number_will_do_for_a_real_one():
    rate = Tree(rate=2).rate
    assert rate == 2.0
    assert isinstance(rate, float)


def test_lists_are_taken_for_tuples_also_within_each_other():
    tree = Tree.model_validate({"pair": [1, 2], "grid": [[1], [2, 3], []]})
    assert tree.pair == (1, 2)
    assert tree.grid == ((1,), (2, 3), ())


def test_mapping_that_is_validated_is_left_as_it_was():
    values = {"grid": [[1]], "part": {"name": "needle", "points": [1.0]}}
    Tree.model_validate(values)
    assert values == {"grid": [[1]], "part": {"name": "needle", "points": [1.0]}}


def test_settings_are_frozen():
    tree = Tree()
    with pytest.raises(ValidationError, match="frozen"):
        tree.count = 4
    assert tree.count == 3


def test_field_with_an_alias_takes_both_names():
    assert Tree.model_validate({"from": 7}).first == Tree(first=7).first == 7


@pytest.mark.parametrize(
    "value",
    ["needle", {"name": "needle"}, {"name": "needle", "points": []}, Needle()],
    ids=["name", "mapping", "options", "settings"],
)
def test_part_is_chosen_by_name_mapping_or_settings(value):
    assert Tree(part=value).part == Needle()


def test_options_of_settings_given_from_python_are_kept():
    assert Tree(part=Needle(points=(1.0, 2.0))).part == Needle(points=(1.0, 2.0))


def test_options_are_those_of_the_part_that_is_chosen():
    ((_, location, message),) = problems(part={"name": "needle", "size": 3})
    assert location == ("part", "size")
    assert "unknown key 'size'" in message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("leav", "unknown part 'leav'; did you mean 'leaf'?"),
        ({"name": "oak"}, "unknown part 'oak'; known: leaf, needle"),
        ("{oak}", "unknown part '{oak}'; known: leaf, needle"),
        ({"size": 3}, "says no name: which part?"),
        ({"name": 3}, "says no name: which part?"),
        (3, "must be a name, or a mapping with a name: which part?"),
        (None, "must be a name, or a mapping with a name: which part?"),
        (["leaf"], "must be a name, or a mapping with a name: which part?"),
    ],
)
def test_choice_that_is_none_says_what_is_asked_for(value, message):
    ((_, location, found),) = problems(part=value)
    assert location == ("part",)
    assert found == message


@pytest.mark.parametrize("mode", ["python", "json"])
def test_chosen_part_is_dumped_with_its_own_options(mode):
    dumped = Tree(part=Needle(points=(1.0, 2.0))).model_dump(mode=mode, by_alias=True)
    assert dumped["part"]["name"] == "needle"
    assert list(dumped["part"]["points"]) == [1.0, 2.0]
    assert "from" in dumped


def test_what_is_dumped_can_be_read_again():
    tree = Tree(part=Needle(points=(1.5,)), first=2, grid=((1,), (2,)))
    assert Tree.model_validate(tree.model_dump(mode="json", by_alias=True)) == tree
    assert Tree.model_validate_json(tree.model_dump_json(by_alias=True)) == tree
