"""Plain values from YAML, where each is written, overrides, and the way back to text."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkit.errors import ConfigError
from genkit.settings import yaml
from genkit.settings.yaml import Document, dotted

TEXT = """\
# a comment
seed: 3
encoder: {name: mlp, hidden: [8, 4]}
loss:
  - reconstruction
  - name: kl
    weight: 1e-3
"""


def document(tmp_path, text=TEXT):
    path = tmp_path / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return yaml.read(path)


def problem(tmp_path, text):
    """The message of a file that cannot be read, the folder left out."""
    with pytest.raises(ConfigError) as caught:
        document(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "")


def overridden(values, *assignments):
    made = Document("config", values)
    for assignment in assignments:
        made.override(assignment)
    return made


def test_values_are_plain(tmp_path):
    values = document(tmp_path).values
    assert values == {
        "seed": 3,
        "encoder": {"name": "mlp", "hidden": [8, 4]},
        "loss": ["reconstruction", {"name": "kl", "weight": 0.001}],
    }
    kinds = [values, values["encoder"], values["loss"], values["seed"], values["loss"][1]["weight"]]
    assert [type(value) for value in kinds] == [dict, dict, list, int, float]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1.5e+2", 150.0),
        (".5", 0.5),
        (".inf", math.inf),
        ("1_000", 1000),
        ("0x10", 16),
        ("-7", -7),
        ("true", True),
        ("yes", "yes"),
        ("off", "off"),
        ("'20'", "20"),
        ("null", None),
        ("~", None),
        ("2020-01-01", "2020-01-01"),
        ("[]", []),
        ("{}", {}),
        ("|\n  one\n  two\n", "one\ntwo\n"),
    ],
)
def test_value_has_the_type_that_its_notation_says(tmp_path, text, value):
    read = document(tmp_path, f"a: {text}\n").values["a"]
    assert read == value
    assert type(read) is type(value)


def test_alias_stands_for_a_copy_of_what_it_names(tmp_path):
    values = document(tmp_path, "a: &wide {hidden: [8]}\nb: *wide\n").values
    assert values == {"a": {"hidden": [8]}, "b": {"hidden": [8]}}
    assert values["a"] is not values["b"]


@pytest.mark.parametrize(
    ("location", "place"),
    [
        (("seed",), "2:1"),
        (("encoder",), "3:1"),
        (("encoder", "name"), "3:11"),
        (("encoder", "hidden"), "3:22"),
        (("encoder", "hidden", 1), "3:34"),
        (("loss", 0), "5:5"),
        (("loss", 1), "6:5"),
        (("loss", 1, "weight"), "7:5"),
    ],
)
def test_place_is_line_and_column_as_editors_count_them(tmp_path, location, place):
    assert document(tmp_path).place(location) == f"{tmp_path}/some.yaml:{place}"


def test_place_of_what_is_not_written_is_that_of_its_parent(tmp_path):
    assert document(tmp_path).place(("encoder", "activation", "slope")) == f"{tmp_path}/some.yaml:3:1"
    assert document(tmp_path).place(("decoder",)) == f"{tmp_path}/some.yaml"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1\nb: 2\n", "some.yaml:2:2"),
        ("a: 1\nb: c: d\n", "some.yaml:2:5"),
        ("a:\n\t- 1\n", "some.yaml:2:1"),
        ("a: 'open\n", "some.yaml:2:1"),
        ("a: *nobody\n", "some.yaml:1:4"),
        ("a: 1\n---\nb: 2\n", "some.yaml:2:1"),
    ],
)
def test_broken_yaml_gives_line_and_column(tmp_path, text, place):
    message = problem(tmp_path, text)
    assert message.startswith(f"{place}: the YAML is broken: ")
    assert "\n" not in message


def test_duplicate_key_is_refused_at_the_second_one(tmp_path):
    message = problem(tmp_path, "seed: 1\nname: a\nseed: 2\n")
    assert message.startswith("some.yaml:3:1: ")
    assert 'duplicate key "seed"' in message


def test_duplicate_key_within_a_mapping_is_refused_too(tmp_path):
    message = problem(tmp_path, "encoder: {hidden: [1], hidden: [2]}\n")
    assert message.startswith("some.yaml:1:24: ")
    assert "hidden" in message


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- a\n- b\n", "just text\n", "null\n"])
def test_file_that_holds_no_mapping_is_refused(tmp_path, text):
    assert problem(tmp_path, text) == "some.yaml: a config is a mapping of keys to values, and this is none"


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file"):
        yaml.read(tmp_path / "none.yaml")


def test_folder_and_file_of_another_encoding_are_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("name: Sønderby\n".encode("latin-1"))
    for path, reason in ((tmp_path, "is a folder"), (tmp_path / "latin.yaml", "cannot be read as text: ")):
        with pytest.raises(ConfigError) as caught:
            yaml.read(path)
        assert str(caught.value).startswith(f"{path}: {reason}")


def test_control_character_is_refused_with_the_file(tmp_path):
    assert problem(tmp_path, "a: 1\x00\n").startswith("some.yaml: the YAML is broken: ")


@pytest.mark.parametrize(
    ("assignment", "values"),
    [
        ("a=5", {"a": 5, "b": {"c": 2, "d": [3, 4]}}),
        ("a=1e-3", {"a": 0.001, "b": {"c": 2, "d": [3, 4]}}),
        ("a=x=y", {"a": "x=y", "b": {"c": 2, "d": [3, 4]}}),
        ("a=", {"a": None, "b": {"c": 2, "d": [3, 4]}}),
        ("b.c={e: 5}", {"a": 1, "b": {"c": {"e": 5}, "d": [3, 4]}}),
        ("b.d.1=5", {"a": 1, "b": {"c": 2, "d": [3, 5]}}),
        ("b.d=[]", {"a": 1, "b": {"c": 2, "d": []}}),
        ("b=5", {"a": 1, "b": 5}),
        ("e.f.g='5'", {"a": 1, "b": {"c": 2, "d": [3, 4]}, "e": {"f": {"g": "5"}}}),
    ],
)
def test_override_sets_one_value_and_leaves_the_others(assignment, values):
    assert overridden({"a": 1, "b": {"c": 2, "d": [3, 4]}}, assignment).values == values


@pytest.mark.parametrize("assignment", ["loss.kl.weight=0.5", "loss.1.weight=0.5"])
@pytest.mark.parametrize("term", ["kl", {"name": "kl"}, {"name": "kl", "weight": 1.0}], ids=str)
def test_override_names_an_item_by_name_or_number_and_opens_a_bare_string(assignment, term):
    made = overridden({"loss": ["reconstruction", term]}, assignment)
    assert made.values == {"loss": ["reconstruction", {"name": "kl", "weight": 0.5}]}


@pytest.mark.parametrize("term", ["kl", {"name": "kl", "weight": 1.0}], ids=str)
@pytest.mark.parametrize(
    ("value", "item"),
    [("{weight: 2}", {"name": "kl", "weight": 2}), ("{name: other}", {"name": "other"}), ("other", "other")],
)
def test_item_that_is_overridden_by_its_name_keeps_it_unless_the_value_gives_another(term, value, item):
    assert overridden({"loss": ["reconstruction", term]}, f"loss.kl={value}").values["loss"] == ["reconstruction", item]


def test_override_of_an_option_turns_a_bare_string_into_a_mapping_with_its_name():
    assert overridden({"encoder": "mlp"}, "encoder.hidden=[8]").values == {"encoder": {"name": "mlp", "hidden": [8]}}


def test_last_override_of_a_key_holds():
    assert overridden({}, "a.b=1", "a.c=2", "a.b=3").values == {"a": {"b": 3, "c": 2}}


def test_override_leaves_the_values_it_was_given_as_they_were():
    values = {"a": {"b": [1, {"name": "c"}]}}
    overridden(values, "a.b.0=2", "a.b.c.d=3", "a.e=4")
    assert values == {"a": {"b": [1, {"name": "c"}]}}


@pytest.mark.parametrize("assignment", ["seed", "=3", ".a=3", "a..b=3", "a.=3", ""])
def test_bad_override_is_quoted_and_shown_a_good_one(assignment):
    with pytest.raises(ConfigError) as caught:
        overridden({}, assignment)
    assert str(caught.value) == f"'{assignment}' is no override; write key=value, for example training.epochs=5"


def test_override_whose_value_is_broken_is_quoted():
    with pytest.raises(ConfigError, match=r"^'seed=\[1': the value is not YAML: "):
        overridden({}, "seed=[1")


@pytest.mark.parametrize("item", ["kll", "2", "-1"])
def test_override_of_an_item_that_is_not_there_lists_those_that_are(item):
    with pytest.raises(ConfigError) as caught:
        overridden({"terms": {"loss": ["reconstruction", {"name": "kl"}]}}, f"terms.loss.{item}=5")
    assert str(caught.value) == f"'terms.loss.{item}=5': terms.loss has no item '{item}'; it has reconstruction, kl"


def test_place_of_what_is_overridden_is_the_override(tmp_path):
    made = document(tmp_path)
    made.override("encoder={name: mlp, hidden: [1]}")
    made.override("loss.kl.weight=2")
    assert made.place(("encoder", "hidden", 0)) == "'encoder={name: mlp, hidden: [1]}'"
    assert made.place(("loss", 1, "weight")) == "'loss.kl.weight=2'"
    assert made.place(("loss", 1, "name")) == f"{tmp_path}/some.yaml:6:5"
    assert made.place(("seed",)) == f"{tmp_path}/some.yaml:2:1"


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ((), ""),
        (("seed",), "seed"),
        (("loss", 1, "weight"), "loss[1].weight"),
        (("encoder", "hidden", 0), "encoder.hidden[0]"),
    ],
)
def test_location_is_written_as_people_write_it(location, text):
    assert dotted(location) == text


def test_written_text_is_short_lines_with_null_spelt_out():
    assert yaml.write({"b": None, "a": [1, 2], "c": {"d": True}}) == "b: null\na: [1, 2]\nc:\n  d: true\n"


# Without odd line ends, which ruamel itself does not bring back.
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff"),
    max_size=40,
)
KEYS = st.text(st.characters(codec="utf-8", categories=["L", "N"], include_characters="_-."), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(values=st.dictionaries(KEYS, PLAIN, max_size=4))
@settings(deadline=None, database=None, max_examples=60)
def test_what_is_written_reads_back_the_same(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("round") / "trip.yaml"
    path.write_text(yaml.write(values), encoding="utf-8")
    read = yaml.read(path)
    assert read.values == values
    assert repr(read.values) == repr(values)


def test_merged_and_anchored_values_are_read(tmp_path):
    path = tmp_path / "merged.yaml"
    path.write_text("a: &x {p: 1, on: &t true}\nb: {<<: *x, q: 2}\nc: *t\n")
    document = yaml.read(path)
    assert document.values == {"a": {"p": 1, "on": True}, "b": {"p": 1, "on": True, "q": 2}, "c": True}
    assert document.values["c"] is True
    assert document.place(("b", "q")) == f"{path}:2:13"
    assert document.place(("b", "p")) == f"{path}:2:1"


def test_the_items_of_a_tagged_list_have_the_place_of_the_list(tmp_path):
    tagged = document(tmp_path, "data: digits\nloss: !foo [kl]\n")
    assert tagged.values["loss"] == ["kl"]
    assert re.search(r":2:\d+$", tagged.places[("loss", 0)])


def test_a_misspelt_file_is_answered_with_the_nearest(tmp_path):
    (tmp_path / "digits.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError, match=r"digit\.yaml: there is no such file; did you mean 'digits.yaml'\?"):
        yaml.read(tmp_path / "digit.yaml")
