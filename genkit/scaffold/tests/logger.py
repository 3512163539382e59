"""Tests of the logger: the contract of listeners, and the table that it writes."""

from pathlib import Path

import genkit
import genkit_sketch
import pytest
from genkit.testing import contract

EXAMPLE = Path(__file__).parents[1] / "example.yaml"


@pytest.mark.parametrize("check", contract(genkit_sketch))
def test_contract(check):
    check()


def test_a_run_leaves_its_figures(tmp_path):
    run = genkit.run(EXAMPLE, ["training.epochs=2"], out=tmp_path / "run")
    header, *rows = (run.directory.path / "sketch.csv").read_text().splitlines()
    assert header == "epoch,split,loss,reconstruction,kl,elbo"
    assert [row.split(",")[:2] for row in rows] == [[e, s] for e in "12" for s in ("train", "validation")]
    assert float(rows[-1].split(",")[2]) == run.history[-1].validation.loss
