import pytest

from genkit.errors import ConfigError
from genkit.registry.selection import Selection, names_file


@pytest.mark.parametrize(
    ("wanted", "allowed", "refused"),
    [
        ("all", ["acme/x", "genkit-torch/mlp"], []),
        ("", ["acme/x"], []),
        ("none", ["genkit-torch/mlp"], ["acme/x"]),
        ("acme", ["acme/x", "ACME/y", "genkit-torch/mlp"], ["bolt/x"]),
        ("My_Dist/x, acme", ["my-dist/x", "my.dist/x", "acme/y"], ["my-dist/y"]),
        ("-acme", ["bolt/x", "genkit-torch/mlp"], ["acme/x"]),
        ("all, -acme", ["bolt/x", "genkit-torch/mlp"], ["acme/x"]),
        ("-genkit-torch/tensorboard", ["genkit-torch/mlp", "acme/x"], ["genkit-torch/tensorboard"]),
        (["-acme/x", "-bolt"], ["acme/y"], ["acme/x", "bolt/z"]),
        ([], ["acme/x"], []),
    ],
)
def test_wanted_are_all_none_some_or_all_but_some(wanted, allowed, refused):
    selection = Selection.of(wanted, "here")
    assert [name for name in allowed if not selection.allows(*name.split("/"))] == []
    assert [name for name in refused if selection.allows(*name.split("/"))] == []


PINNED = "./mine.py@" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("wanted", "allowed", "refused"),
    [
        (PINNED, ["genkit-torch/mlp"], ["acme/x"]),
        (f"all, {PINNED}", ["acme/x"], []),
        (f"none,{PINNED}", ["genkit-torch/mlp"], ["acme/x"]),
        (f"{PINNED},acme", ["acme/x"], ["bolt/x"]),
        (["-acme", PINNED, PINNED], ["bolt/x"], ["acme/x"]),
    ],
)
def test_files_stand_beside_any_choice_and_alone_they_leave_out_all_other_distributions(wanted, allowed, refused):
    selection = Selection.of(wanted, "here")
    assert selection.files == (PINNED,)
    assert "./mine.py@01234567…" in selection.source
    assert [name for name in allowed if not selection.allows(*name.split("/"))] == []
    assert [name for name in refused if selection.allows(*name.split("/"))] == []


@pytest.mark.parametrize("word", ["./x", "../a/x.py", "/x.py", "~/x.py", "x.py", "X.PY", "a/b/x.py", PINNED])
def test_what_ends_in_py_or_begins_as_a_path_is_a_file(word):
    assert names_file(word)
    assert not names_file(word.replace(".py", "-py").replace(".PY", "").lstrip("./~"))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            "acme,-bolt",
            "PLUGINS=acme,-bolt: names either what is wanted or, with a minus each, what is not, never both",
        ),
        ("acme,none", "PLUGINS=acme,none: 'none' is no plugin; write all, none, DISTRIBUTION or DISTRIBUTION/PLUGIN"),
        ("a b", "PLUGINS=a b: 'a b' is no plugin"),
        ("--acme", "'--acme' is no plugin"),
    ],
)
def test_what_is_no_choice_is_refused(wanted, message):
    with pytest.raises(ConfigError) as caught:
        Selection.of(wanted, "PLUGINS")
    assert message in str(caught.value)
