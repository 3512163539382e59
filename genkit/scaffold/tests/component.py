"""Tests of SketchComponent: the contract of its kind, and a run that trains."""

from pathlib import Path

import genkit
import pytest
from genkit.testing import contract
from genkit_sketch import SketchComponent

EXAMPLE = Path(__file__).parents[1] / "example.yaml"


@pytest.mark.parametrize("check", contract(SketchComponent))
def test_contract(check):
    check()


def test_the_example_trains(tmp_path):
    run = genkit.run(EXAMPLE, ["training.epochs=5"], out=tmp_path / "run")
    first, *_, last = (record.train.terms["reconstruction"] for record in run.history)  # other terms may rise
    assert last < first
    assert genkit.load(run.directory.path).shape == run.data.shape
