"""Runs that are killed and resumed end as if nothing had happened: nothing lost, nothing unequal, nothing left."""

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import FULL
from tests.faults.crash import Crash
from tests.faults.trials import differences, leftovers

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = ["data.size=8", "training.epochs=3", "training.batch_size=300"]
DENSE = ["encoder.hidden=[8]", "decoder.hidden=[8]"]
VARIANTS = {
    "vae": ["vae-digits", *DENSE],
    "gan": ["gan", "data.validation=0.1", "decoder.hidden=[8]", "loss.adversarial.critic.hidden=[8]"],
    "rnn": ["vae-rnn", "encoder.hidden=8", "decoder.hidden=8"],
    "learned scale": ["vae-digits", *DENSE, "likelihood={name: gaussian, scale: learned}"],
    "schedules": [
        "vae-digits",
        *DENSE,
        "loss.kl.weight={from: 0, to: 1, epochs: 2}",
        "training.optimizer.lr={from: 0.01, to: 0.001, epochs: 3}",
    ],
    "binarized": ["vae-digits", *DENSE, "data.binarize=dynamic", "training.clip_norm=5"],
    "momentum": ["vae-digits", *DENSE, "training.optimizer={name: sgd, lr: 0.001, momentum: 0.9}"],
    "kept": [
        "vae-digits",
        *DENSE,
        "training={epochs: null, steps: 14, batch_size: 300, ema: 0.9, keep: best, stop: {patience: 2}}",
        "training.checkpoint={steps: 2}",
    ],
    "compiled": ["vae-digits", *DENSE, "training.compile=true"],
    "two processes": ["vae-digits", *DENSE],
    "whole": ["vae-digits", *DENSE, "training.epochs=2", "training.batch_size=400"],
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SLOW, QUICK = ("compiled", "two processes"), ("vae", "gan", "rnn")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the operations of a process are counted as Linux names files"),
]


@pytest.fixture
def perform(tmp_path, environment, process):
    """`perform(variant, trials)`: what came of trials; None: one for every file operation and each of the signals."""

    def call(variant, trials=None, signals=(), bare=True):
        example, *options = VARIANTS[variant]
        if bare:
            options = [*SMALL, *options]
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        spec = {"config": str(EXAMPLES / f"{example}.yaml"), "options": options, "scratch": str(scratch), "bare": bare}
        spec |= {"trials": trials, "signals": list(signals), "processes": 1 + (variant == "two processes")}
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        root = Path(__file__).parents[2]
        done = process("python", "-m", "tests.faults.trials", tmp_path / "spec.json", env=environment, cwd=root)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return call


def check(what, answer, count, crashes=1):
    """Count the results, and show those that are not as they should be."""
    results = answer["results"]
    numbers = {key: sum(bool(each[key]) for each in results) for key in ("lost", "unequal", "leftovers")}
    numbers |= {"tracebacks": sum(len(each["tracebacks"]) for each in results)}
    numbers |= {"hangs": sum(each["hangs"] for each in results)}
    happened = sum(each["crashes"] for each in results)
    count(f"kills: {what}", cases=happened, **numbers)
    bad = [each for each in results if any(each[key] for key in numbers)]
    assert not bad, "\n".join(f"{name}: {value}" for each in bad for name, value in each.items())
    assert happened >= crashes


def at_random(chance, number, kills=1):
    """Trials with kills at random instants of the run, or at random operations of those that it has."""
    trials = []
    for _ in range(number):
        moments = []
        for _ in range(kills):
            place = (
                {"seconds": chance.uniform(0.1, 1)} if chance.random() < 0.5 else {"operation": chance.randint(1, 999)}
            )
            moments.append(list(Crash(chance.choice(SIGNALS), torn=chance.random() < 0.3, **place)))
        trials.append(moments)
    return trials


@pytest.mark.parametrize("variant", [each for each in VARIANTS if each != "whole" and (FULL or each in QUICK)])
def test_runs_that_are_killed_at_any_moment_and_resumed_are_those_that_never_were(variant, perform, chance, count):
    number = (8 if variant in SLOW else 30) if FULL else 3
    answer = perform(variant, at_random(chance, number, kills=1))
    check(variant, answer, count, crashes=number // 3)


@pytest.mark.skipif(not FULL, reason="make faults")
@pytest.mark.parametrize("number", SIGNALS)
def test_killed_at_every_file_operation(number, perform, count):
    answer = perform("vae", signals=[number])
    assert answer["operations"] > 50
    check(f"every operation, {signal.Signals(number).name}", answer, count, crashes=answer["operations"] // 2)


@pytest.mark.skipif(not FULL, reason="make faults")
def test_killed_three_times_in_a_row(perform, chance, count):
    check("three in a row", perform("vae", at_random(chance, 20, kills=3)), count, crashes=20)


@pytest.mark.skipif(not FULL, reason="make faults")
def test_killed_with_its_pictures_and_logs(perform, chance, count):
    check("pictures and logs", perform("whole", at_random(chance, 20), bare=False), count, crashes=7)


def test_what_a_trial_looks_for_is_seen(trained, tmp_path):
    one, other = trained["vae-digits"].directory.path, tmp_path / "other"
    shutil.copytree(one, other)
    assert differences(one, other) == []
    assert leftovers(other) == []
    lines = (other / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    (other / "metrics.jsonl").write_text("\n".join([*lines[:-1], json.dumps({**last, "seconds": 1e9})]) + "\n")
    assert differences(one, other) == []
    (other / "metrics.jsonl").write_text("\n".join([*lines[:-1], json.dumps({**last, "steps": 7})]) + "\n")
    content = (other / "model.safetensors").read_bytes()
    (other / "model.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (other / "evaluation.json").unlink()
    (other / ".lock").touch()
    assert differences(one, other) == ["model.safetensors", "metrics.jsonl", "evaluation.json", "evaluation.json"]
    assert leftovers(other) == [".lock"]
