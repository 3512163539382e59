"""JSON without NaN and infinity."""

import json

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
