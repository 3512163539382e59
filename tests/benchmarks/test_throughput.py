import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import throughput
from benchmarks.contestant import Contestant
from benchmarks.peers import PEERS
from benchmarks.turns import Times, contest, genkit
from genkit.runs.opening import as_config

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_its_files(tmp_path, digits, environment):
    options = ["--rounds", "2", "--seconds", "0.1", "--out", str(tmp_path / "r")]
    command = [sys.executable, "-m", "benchmarks.throughput", str(digits), *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "vae-digits, training" in done.stdout
    assert "vae-digits, batch 64: compiling takes" in done.stdout
    written = json.loads((tmp_path / "r.json").read_text())
    (result,) = written["results"]
    assert result["batch"] == 64
    assert result["contestants"].keys() == {"eager", "compiled", "floor"}
    for figures in result["contestants"].values():
        assert figures["examples_per_second"] > 0
        assert figures["peak_bytes"] > 2**26
    assert result["contestants"]["floor"]["of_the_floor"] == 1
    assert written["machine"]["torch"]
    assert "| **genkit, compiled** | vae-digits | 64 |" in (tmp_path / "r.md").read_text()
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_a_contestant_takes_the_steps_that_a_run_takes(digits, monkeypatch):
    taken = []
    contestant = Contestant(digits, [], "eager")
    step = contestant.trainer.step
    monkeypatch.setattr(contestant.trainer, "step", lambda x, weights: (taken.append(len(x)), step(x, weights))[1])
    assert contestant.steps(25) > 0
    assert taken == [64] * 25  # 1,258 data are 19 whole batches: the next epoch follows without a short one


def test_the_floor_is_the_products_of_one_step(digits):
    contestant = Contestant(digits, ["encoder.hidden=[16]", "decoder.hidden=[16]"], "floor")
    # five dense layers: each forwards and towards its weights, and all but the first towards what came in
    assert len(contestant.products) == 5 + 5 + 4
    assert contestant.steps(2) == 0


def test_the_options_that_make_an_example_plain_change_it():
    for name, options in throughput.PLAIN.items():
        example = throughput.BY_HAND[name]
        assert as_config(example, options) != as_config(example)


@pytest.mark.slow
def test_a_contestant_answers_orders_and_says_why_it_ended(digits):
    small = ["encoder.hidden=[16]", "decoder.hidden=[16]"]
    with contest({"eager": genkit(digits, small, "eager"), "wrong": genkit(digits, ["sed=1"], "eager")}) as contestants:
        assert contestants["eager"].ask("steps", 3).seconds > 0
        loss = contestants["eager"].ask("fit", 1).value
        assert 20 < loss < 60
        for order in ("sample", "encode"):
            assert contestants["eager"].ask(order, 100).seconds > 0
        with pytest.raises(RuntimeError, match="unknown key 'sed'"):
            contestants["wrong"].ask("steps", 1)


def test_ratios_are_medians_of_the_ratios_of_the_rounds():
    times = Times([{"a": 1.0, "b": 2.0}, {"a": 10.0, "b": 30.0}, {"a": 2.0, "b": 8.0}])
    assert times.median("a") == 2.0
    assert times.ratio("a", "b") == 3.0


def test_results_are_shown_with_the_fastest_first():
    figures = {"of_the_floor": 0.5, "compiled_over_this": 1.0, "peak_bytes": 2**20, "test_loss": 1.0}
    contestants = {"eager": {**figures, "examples_per_second": 1}, "pythae": {**figures, "examples_per_second": 2}}
    shown = throughput.rows({"model": "m", "batch": 3, "contestants": contestants})
    assert [row[0] for row in shown] == [PEERS["pythae"].title, "**genkit, eager**"]


def test_every_peer_has_its_script_and_its_requirements():
    folder = ROOT / "benchmarks" / "peers"
    for peer in PEERS.values():
        assert (folder / f"{peer.script}.py").is_file()
        assert (folder / "requirements" / f"{peer.environment}.txt").is_file()
