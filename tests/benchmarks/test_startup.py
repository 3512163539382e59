import json
import struct
import subprocess
import sys

import pytest

from benchmarks import startup
from benchmarks.turns import ROOT
from genkit_data.mnist import PUBLISHED


@pytest.fixture
def few_images(tmp_path):
    """A folder with the four files of MNIST, of 300 images each."""
    header = {1: struct.pack(">II", 0x801, 300), 3: struct.pack(">IIII", 0x803, 300, 28, 28)}
    for name in PUBLISHED:
        dimensions = 3 if "images" in name else 1
        values = bytes(value % 10 for value in range(300 * 28 ** (dimensions - 1)))
        (tmp_path / name).write_bytes(header[dimensions] + values)
    return tmp_path


@pytest.mark.slow
def test_the_command_times_the_first_step_and_the_whole_run(tmp_path, environment, few_images):
    command = [sys.executable, "-m", "benchmarks.startup", "--rounds", "1", "--out", str(tmp_path / "s")]
    mnist = {"GENKIT_MNIST": str(few_images)}
    done = subprocess.run(command, cwd=ROOT, env=environment | mnist, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "s.json").read_text())["results"]
    bare, first, whole = row.values()
    assert min(bare, first, whole) > 0
    assert "genkit run, to the first step" in done.stdout


def test_without_its_data_the_command_says_what_it_needs(monkeypatch, capsys):
    monkeypatch.delenv("GENKIT_MNIST", raising=False)
    monkeypatch.setattr(sys, "argv", ["startup"])
    with pytest.raises(SystemExit) as ended:
        startup.main()
    assert ended.value.code == 2
    assert "into GENKIT_MNIST" in capsys.readouterr().err
