import json
import os
import subprocess
import sys

import pytest

from benchmarks import startup
from benchmarks.turns import ROOT


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("GENKIT_MNIST"), reason="needs the files of MNIST in GENKIT_MNIST")
def test_the_command_times_the_first_step_and_the_whole_run(tmp_path, environment):
    command = [sys.executable, "-m", "benchmarks.startup", "--rounds", "1", "--out", str(tmp_path / "s")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
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
