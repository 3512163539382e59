"""JSON without NaN and infinity."""

import json
import os

import pytest

from genkit.errors import RunError
from genkit.files import strict_json


def test_plain_values_are_written_as_ever():
    values = {"a": [1, 2.5, None, True], "b": {"c": "ü"}}
    assert json.loads(strict_json.dumps(values, indent=2)) == values
    assert "ü" in strict_json.dumps(values, ensure_ascii=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_does_not_have_are_named(value):
    with pytest.raises(RunError, match=rf"test\.terms\.1 {value}$"):
        strict_json.dumps({"test": {"terms": (0.0, value)}, "fine": 1.0})


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a":' * 100_000, "1" * 5_000, "nul", '"\\ud8'])
def test_whatever_is_wrong_with_json_is_a_value_error(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    for reads in (lambda: strict_json.loads(text), lambda: strict_json.read(tmp_path / "a.json")):
        with pytest.raises(ValueError, match=r"."):
            reads()


def test_what_is_no_file_and_what_is_too_large_is_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(FileNotFoundError):
            strict_json.read(path)
    (tmp_path / "a.json").write_text("[1, 2]")
    assert strict_json.read(tmp_path / "a.json") == [1, 2]
    monkeypatch.setattr(strict_json, "LARGEST", 5)
    with pytest.raises(ValueError, match="it has more than 5 bytes"):
        strict_json.read(tmp_path / "a.json")
