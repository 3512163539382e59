"""Tests of the command: what it writes, and what it never writes over."""

from pathlib import Path

import genkit
import pytest
from genkit_sketch import sketch_command

EXAMPLE = Path(__file__).parents[1] / "example.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a short run."""
    return genkit.run(EXAMPLE, ["training.epochs=1"], out=tmp_path_factory.mktemp("runs") / "run").directory.path


def test_each_datum_has_a_row(folder, tmp_path):
    sketch_command(folder, tmp_path / "out.csv")
    header, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert header == "row,distance"
    assert len(rows) == len(genkit.reopen(folder)[1].test.x)
    assert all(float(row.split(",")[1]) > 0 for row in rows)


def test_the_files_of_a_run_stay(folder):
    with pytest.raises(genkit.GenkitError, match="is a file of that run"):
        sketch_command(folder, folder / "model.safetensors")
