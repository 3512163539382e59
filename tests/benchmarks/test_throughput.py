import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import throughput
from genkit.errors import DataError

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_json(tmp_path, digits, environment):
    options = ["--rounds", "2", "--seconds", "0.1", "--json", str(tmp_path / "r.json")]
    command = [sys.executable, "-m", "benchmarks.throughput", str(digits), *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "training examples per second" in done.stdout
    written = json.loads((tmp_path / "r.json").read_text())
    (result,) = written["results"]
    assert result["config"] == "vae-digits"
    assert result["batch_size"] == 64
    assert min(result["eager"], result["compiled"], result["ratio"]) > 0
    assert written["machine"]["torch"]


def test_a_stepper_takes_the_steps_that_a_run_takes(digits, monkeypatch):
    taken = []
    step = throughput.Trainer.step

    def counted(self, x, weights):
        taken.append(len(x))
        return step(self, x, weights)

    monkeypatch.setattr(throughput.Trainer, "step", counted)
    steps, batch = throughput._stepper(digits, [])
    steps(25)
    assert batch == 64
    assert taken == [64] * 25  # 1,258 data are 19 whole batches: the next epoch follows without a short one


def test_a_config_whose_data_are_missing_is_told_apart(digits, tmp_path):
    with pytest.raises(DataError):
        throughput.measure(digits, ["data=mnist", f"data.root={tmp_path}"], rounds=1, seconds=0.01)
