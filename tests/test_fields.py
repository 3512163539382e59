"""The fields of what users hold in their hands are documented, each below its own line."""

import ast
import importlib
import inspect

import pytest

import genkit
from genkit.data.dataset import DataSignature
from genkit.evaluation.descriptions import Figure
from genkit.record.diagnosis import Note
from genkit.record.scores import EpochRecord, Progress, Scores
from genkit.runs.compared import Compared, Comparison, Entry

HELD = [EpochRecord, Progress, Scores, Compared, Comparison, Entry, Note, Figure, DataSignature]


def classes():
    """The public classes that have fields, and those that these hold."""
    public = [getattr(genkit, name) for name in genkit.__all__]
    dataset = importlib.import_module("genkit.data.dataset").Dataset
    return sorted(
        {each for each in [*public, *HELD, dataset] if inspect.isclass(each)}, key=lambda each: each.__qualname__
    )


def undocumented(cls):
    """The fields of a class without a text below them and without a description of their own."""
    (node,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls))).body
    for field, below in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            described = any(word in ast.unparse(field.annotation) for word in ("Description(", "description="))
            if not (is_text or described):
                yield ast.unparse(field.target)


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__qualname__)
def test_every_field_is_documented(cls):
    assert list(undocumented(cls)) == []
