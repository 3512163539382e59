"""Soak: many steps, many runs in a process, many commands at once: memory and open files stay flat."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest

from genkit.runs.running import run
from tests.conftest import DIGITS
from tests.faults.conftest import FULL

SMALL = ["data.size=8", "encoder.hidden=[8]", "decoder.hidden=[8]", "training.batch_size=100"]
RUNS, STEPS, AT_ONCE = (200, 12_000, 64) if FULL else (6, 130, 8)
GROWTH = 48 * 2**20
"""The bytes by which memory may grow: allocators keep some; a leak of one model and its data per run is more."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="handles and memory are counted as Linux does"),
]


def handles():
    return len(list(Path("/proc/self/fd").iterdir()))


def memory():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_many_runs_in_a_process_take_no_more_than_a_few(bare, tmp_path, count):
    for number in range(RUNS):
        if number == max(3, RUNS // 10):
            before, opened = memory(), handles()
        run(DIGITS, [*SMALL, "training.epochs=1"], out=tmp_path / str(number))
    growth = memory() - before
    count("soak: runs", cases=RUNS, peak=max(0, growth))
    assert growth < GROWTH
    assert handles() <= opened + 2


def test_many_steps_take_no_more_than_a_few(bare, tmp_path, count):
    sizes, opened = [], []

    class Watch:
        def epoch_ended(self, record):
            sizes.append(memory())
            opened.append(handles())

    epochs = -(-STEPS // 13)
    done = run(DIGITS, [*SMALL, f"training.epochs={epochs}"], out=tmp_path / "run", listeners=[Watch()])
    first = max(2, epochs // 10)
    count("soak: steps", cases=done.history[-1].steps, peak=max(0, sizes[-1] - sizes[first]))
    assert done.history[-1].steps >= STEPS
    assert sizes[-1] - sizes[first] < GROWTH
    assert max(opened[first:]) <= opened[first] + 2


def test_one_file_serves_many_commands_at_once(trained, tmp_path, environment, process, count):
    model = trained["vae-digits"].directory.model
    commands = [
        ["genkit", "sample", model, "-n", 20, "--seed", 7, "--out", tmp_path / f"{i}.npy"] for i in range(AT_ONCE)
    ]
    done = process.together(commands, [environment] * AT_ONCE)
    bad = [each for each in done if each.returncode]
    count("soak: samples at once", cases=AT_ONCE, lost=len(bad), signals=sum(each.returncode < 0 for each in bad))
    assert bad == []
    (first, *others) = (np.load(tmp_path / f"{i}.npy") for i in range(AT_ONCE))
    assert all(np.array_equal(first, each) for each in others)
    assert len(list(tmp_path.iterdir())) == AT_ONCE
