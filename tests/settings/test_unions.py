"""Options of more than one form: one message, in the words of a config, where a value is none of them."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from genkit.registry.registry import installed
from genkit.settings.base import Settings
from tests.test_architecture import RECORDS, all_settings


class Inner(Settings):
    decay: float = 0.5


class Group(Settings):
    threads: Annotated[int, Field(ge=1, le=9)] | Literal["free"] | None = None
    shade: Literal["white", "black"] | tuple[int, int] = Field("white", alias="background")
    rate: Annotated[float, Field(gt=0)] | bool = 1.0
    average: Inner | float = 0.5
    words: dict[str, int] | list[str] | str = ""
    keep: tuple[int | str, ...] | None = None
    sizes: dict[str, list[Literal["all"] | int]] = Field({})


def faults(cls, **values):
    """(location, message) of everything that is wrong with a group of these values."""
    with pytest.raises(ValidationError) as caught:
        cls.model_validate(values)
    return [(fault["loc"], fault["msg"]) for fault in caught.value.errors()]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("threads", "lots", "Input should be a whole number from 1 up to 9, 'free' or null"),
        ("threads", 0, "Input should be a whole number from 1 up to 9, 'free' or null"),
        ("background", "red", "Input should be 'white', 'black' or a list of 2"),
        ("rate", -1.0, "Input should be a number above 0 or true or false"),
        ("average", "x", "Input should be a mapping or a number"),
        ("words", 3, "Input should be a mapping, a list or a text"),
    ],
)
def test_a_value_of_no_form_is_one_fault_that_names_them_all(option, value, message):
    assert faults(Group, **{option: value}) == [((option,), message)]


@pytest.mark.parametrize(
    ("option", "value", "place"),
    [
        ("background", [1, "x"], ("background", 1)),
        ("average", {"decay": "x"}, ("average", "decay")),
        ("average", {"decya": 1}, ("average", "decya")),
        ("words", {"a": "b"}, ("words", "a")),
        ("keep", ["a", 1, 2.5], ("keep", 2)),
        ("sizes", {"a": ["all", "none"]}, ("sizes", "a", 1)),
    ],
)
def test_a_fault_inside_a_value_keeps_its_place(option, value, place):
    assert [where for where, _ in faults(Group, **{option: value})] == [place]


def test_an_item_of_no_form_names_them_all():
    assert faults(Group, keep=[None]) == [(("keep", 0), "Input should be a whole number or a text")]
    assert faults(Group, keep=3) == [(("keep",), "Input should be a valid tuple")]


def test_other_faults_of_the_group_stay():
    each = faults(Group, threads="x", rate="y", unknown=1)
    assert [where for where, _ in each] == [("threads",), ("rate",), ("unknown",)]


WRONG = ["no !!", 10**30, -3, 2.5, True, [], [["no !!"]], {}, {"no": 1}, None]


def test_each_fault_of_each_option_is_at_a_place_of_the_config_and_there_once():
    installed()
    groups = {cls for cls in all_settings() if cls.__qualname__ not in RECORDS and not cls.__abstractmethods__}
    options = [(cls, field.alias or name) for cls in groups for name, field in cls.model_fields.items()]
    words = {name for _, name in options} | {"no"}
    tried = 0
    for cls, option in options:
        for value in WRONG:
            try:
                cls.model_validate({option: value})
            except ValidationError as error:
                tried += 1
                places = [fault["loc"] for fault in error.errors() if fault["loc"][:1] == (option,)]
                assert len({*places}) == len(places), (cls, value, places)
                assert not [step for place in places for step in place if isinstance(step, str) and step not in words]
    assert tried > 1000
