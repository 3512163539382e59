import contextlib
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml.error import YAMLError

from genkit.errors import ConfigError, GenkitError
from genkit.runs.opening import as_config
from genkit.settings import yaml
from genkit.settings.bounded import loaded


def aliases(first, kind):
    """Ten levels, each of which is ten times the one before: a file of 400 characters with 10^10 values."""
    levels = [f"a: &a {first}"]
    for above, name in zip("abcdefghi", "bcdefghij", strict=True):
        items = [f"k{i}: *{above}" if kind == "{}" else f"*{above}" for i in range(10)]
        levels.append(f"{name}: &{name} {kind[0]}{', '.join(items)}{kind[1]}")
    return "\n".join(levels)


ODD = {
    "no number": ("seed: !!int abc", ":1:7: the YAML is broken: a value cannot be read: ValueError"),
    "no float": ("a: 1\nseed: !!float x", ":2:7: the YAML is broken: a value cannot be read"),
    "no truth value": ("seed: !!bool maybe", ":1:7: the YAML is broken: a value cannot be read"),
    "no bytes": ("name: !!binary abc", ":1:7: the YAML is broken: failed to decode base64"),
    "no date": ("name: 2020-13-45", ":1:7: the YAML is broken: a value cannot be read: ValueError: month"),
    "no time zone": ("name: 2001-12-14t21:59:43.10-99:00", ":1:7: the YAML is broken: a value cannot be read"),
    "only a sign": ("seed: -_", ":1:7: the YAML is broken: a value cannot be read"),
    "a tag of Python's": ('name: !!python/object/apply:os.system ["echo"]', ":1:1: name: must be a valid string"),
    "deep lists": (f"a: {'[' * 10_000}{']' * 10_000}", "the YAML is broken: it is nested more than 50 deep"),
    "deep mappings": (f"a: {'{a: ' * 10_000}", "the YAML is broken: it is nested more than 50 deep"),
    "deep dashes": (f"a:\n  {'- ' * 5_000}a", "the YAML is broken: it is nested more than 50 deep"),
    "deep keys": ("? " * 3_000 + "a", "the YAML is broken: it is nested more than 50 deep"),
    "aliases of lists": (aliases("[x, x]", "[]"), "written out it has more than 100,000 values"),
    "aliases of mappings": (aliases("{x: 1}", "{}"), "written out it has more than 100,000 values"),
    "a merge with itself": ("a: &a\n  <<: *a", ":1:4: the YAML is broken: a value cannot be read"),
    "a long number": (f"seed: {'9' * 5_000}", ":1:7: the YAML is broken: a value cannot be read"),
    "a long number in hex": (f"seed: 0x{'f' * 100_000}", ":1:7: the YAML is broken: a number is too long"),
    "a key twice": ("seed: 1\nseed: 2", ":2:1: the YAML is broken: found duplicate key"),
    "no character": ('a: "\\UFFFFFFFF"', "the YAML is broken: it cannot be read"),
    "a null": ("a: \0", "the YAML is broken: unacceptable character"),
    "an escape": ('"a\\e[2J\\nerror: b": 1', r"unknown key 'a\x1b[2J\nerror: b'"),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_yaml_is_an_error_with_its_place(tmp_path, odd):
    text, said = ODD[odd]
    (tmp_path / "c.yaml").write_text(text)
    start = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        as_config(tmp_path / "c.yaml")
    assert time.perf_counter() - start < 10
    first = str(caught.value).split("\n")[0]
    assert first.startswith(f"{tmp_path / 'c.yaml'}")
    assert said in first


@pytest.mark.parametrize("value", ["!!int abc", "[" * 5_000, "2020-13-45", "0x" + "f" * 9_999, "-_", "&a [*a, *b]"])
def test_an_odd_override_is_an_error(value):
    with pytest.raises(ConfigError, match=r"'seed=.*: the value is not YAML"):
        yaml.Document("config", {}).override(f"seed={value}")


@pytest.mark.parametrize("key", ["a." * 5_000 + "a", "loss[" + "9" * 5_000 + "]"])
def test_an_odd_key_of_an_override_is_an_error(key):
    with pytest.raises(ConfigError):
        yaml.Document("config", {"loss": [{"name": "a"}]}).override(f"{key}=1")


def test_aliases_are_read():
    assert loaded("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: *a}")["c"]["e"] == [1, 2]


@pytest.mark.parametrize("kind", ["pipe", "folder", "dangling", "long", "bytes", "name", "device"])
def test_what_is_no_file_of_text_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "c.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere.yaml")
    elif kind == "long":
        path.write_text("#" * (yaml.LARGEST + 1))
    elif kind == "bytes":
        path.write_bytes(b"\xff\xfe\x00")
    elif kind == "name":
        path = tmp_path / ("x" * 5_000)
    else:
        path = "/dev/zero"
    said = {
        "pipe": "is no file, and a config is a YAML file",
        "folder": "is a folder, and a config is a YAML file",
        "dangling": "is a link to .*nowhere.yaml, which is not there",
        "long": "has more than 1,048,576 bytes",
        "device": "is no file",
    }
    with pytest.raises(ConfigError, match=said.get(kind, "cannot be read as text")) as caught:
        as_config(path)
    assert "\n" not in str(caught.value)


PIECES = [
    ": ",
    "\n",
    "  ",
    "- ",
    "&x ",
    "*x",
    "<<",
    "? ",
    "| ",
    "> ",
    "---\n",
    "...\n",
    *"[]{},'\"#%@`\t\x85\u2028é1-._~",
]
PIECES += [f"!!{tag} " for tag in ("int", "float", "bool", "binary", "set", "omap", "timestamp", "str", "seq")]
PIECES += ["a", "seed", "data", "loss", "!t ", "\\x", "0x", "0b", "1e", "2020-01-01", "null", "yes"]


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(YAMLError):
        loaded(text)
    with contextlib.suppress(GenkitError):
        yaml.Document("config", {"loss": ["a"], "data": "b"}).override(f"seed={text}")
