"""Machines of one run, each a process in a folder of its own, without a shared disk."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.parallel.test_group import EXAMPLES, SMALL, finish, records, two_processes, workers

pytestmark = pytest.mark.slow
RUN = ["-m", "genkit", "run", str(EXAMPLES / "vae-digits.yaml"), *SMALL]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def folders(tmp_path):
    """The working directories of two machines."""
    both = [tmp_path / "first", tmp_path / "second"]
    for folder in both:
        folder.mkdir()
    return both


@pytest.fixture
def machines(folders, environment, process, tmp_path):
    """`machines(*command)`: a Python command on both, as torchrun starts it but without torchrun; how each ended."""
    script = tmp_path / "there.py"
    script.write_text(
        textwrap.dedent("""
        import os, runpy, sys

        folder = sys.argv.pop(1)
        os.chdir(folder)
        if sys.argv[1] == "-m":
            del sys.argv[1:2]
            runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=False)
        else:
            exec(sys.argv.pop(1))
        """)
    )

    def call(*command, **variables):
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
        envs = [{**environment, **group, **variables, "RANK": rank, "LOCAL_RANK": "0"} for rank in ("0", "1")]
        return process.together([["python", script, folder, *command] for folder in folders], envs)

    return call


def left(*words):
    """A command that trains as `genkit run` does, and leaves the run after an epoch."""
    source, *overrides = words
    return f"import genkit; genkit.run({source!r}, {overrides!r}, out='run', until=(1, 0))"


def assert_same(one, other):
    weights, others = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert weights.keys() == others.keys()
    assert all(torch.equal(value, others[name]) for name, value in weights.items())


def shown(number):
    """The torchrun command of a block of the page: its environment, and its words after `torchrun`."""
    page = (EXAMPLES.parent / "docs" / "several-machines.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    words = shlex.split(blocks[number].replace("\\\n", " "))
    start = words.index("torchrun")
    return dict(word.split("=") for word in words[:start]), words[start + 1 :]


@pytest.fixture
def launch(folders, environment):
    """`launch(block, machine, port)`: the command of the page on a machine, at an address and a port of this one."""
    with contextlib.ExitStack() as stack:

        def start(block, machine, port, *more):
            variables, words = shown(block)
            given = {"examples/vae-digits.yaml": [RUN[3], *SMALL, "training.epochs=8"], "runs/two": ["run"]}
            words = [each for word in words for each in given.get(word, [word])]
            words = [word.replace("10.0.0.1", "127.0.0.1").replace("29500", str(port)) for word in words]
            script = words.index("-m")
            process = subprocess.Popen(
                [sys.executable, "-m", "torch.distributed.run", *words[:script], *more, *words[script:]],
                env={**environment, "OMP_NUM_THREADS": "1", **variables},
                cwd=folders[machine],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def whole(once, environment, process):
    """A run of eight epochs by two processes of one machine."""

    def make(folder):
        two_processes(process, *RUN, "training.epochs=8", "--out", folder / "run", environment=environment)

    return once("run-of-two-processes", make) / "run"


def test_two_machines_give_what_two_processes_of_one_give(folders, whole, launch):
    port = free_port()
    each = [launch(0, 0, port), launch(0, 1, port, "--node-rank=1")]
    printed = [finish(process) for process in each]
    assert "weights: " in printed[0]
    assert "weights: " not in printed[1]
    assert_same(whole, folders[0] / "run")
    assert list(folders[1].iterdir()) == []


def test_a_machine_that_is_killed_and_started_again_goes_on(folders, whole, launch):
    port = free_port()
    first = launch(1, 0, port, "--rdzv-conf=is_host=1")
    second = launch(1, 1, port, "--rdzv-conf=is_host=0")
    deadline = time.monotonic() + 120
    while not (folders[0] / "run" / "checkpoint.safetensors").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in (*workers(second.pid), second.pid):
        os.kill(number, signal.SIGKILL)
    second.communicate()
    second = launch(1, 1, port, "--rdzv-conf=is_host=0")
    printed = finish(first)
    second.communicate(timeout=60)
    assert "going on after epoch" in printed
    assert [record["epoch"] for record in records(folders[0] / "run")] == list(range(1, 9))
    assert_same(whole, folders[0] / "run")


def test_a_resumed_run_takes_the_checkpoint_of_the_first_machine(folders, machines, process, environment, tmp_path):
    assert [done.returncode for done in machines(*RUN, "training.epochs=3", "--out", "whole")] == [0, 0]
    both = machines(left(*RUN[3:], "training.epochs=3"))
    assert [done.returncode for done in both] == [0, 0], both
    resume = ["-m", "genkit", "resume", "run"]
    script = ["python", "there.py", folders[1], *resume]
    refused = process(*script, env={**environment, "WORLD_SIZE": "2", "RANK": "1"}, cwd=tmp_path)
    assert refused.returncode == 2
    assert "run: is no run directory" in refused.stderr
    assert "put config.yaml of the run into run there, or runs on a disk that all machines share" in refused.stderr
    (folders[1] / "run").mkdir()
    shutil.copy(folders[0] / "run" / "config.yaml", folders[1] / "run")
    resumed = machines(*resume)
    assert [done.returncode for done in resumed] == [0, 0], resumed
    assert "going on after epoch 1 of 3" in resumed[0].stdout + resumed[0].stderr
    assert_same(folders[0] / "whole", folders[0] / "run")


def test_a_checkpoint_of_another_training_on_the_second_machine_is_not_taken(folders, machines):
    command = left(*RUN[3:], "training.epochs=3")
    assert [done.returncode for done in machines(*RUN, "training.epochs=3", "--out", "whole")] == [0, 0]
    assert [done.returncode for done in machines(command)] == [0, 0]
    shutil.copytree(folders[0] / "run", folders[1] / "run")
    other = folders[1] / "run" / "checkpoint.safetensors"
    shutil.copy(folders[0] / "whole" / "checkpoint.safetensors", other)
    before = other.read_bytes()
    resumed = machines("-m", "genkit", "resume", "run", "--accept-changes")
    assert [done.returncode for done in resumed] == [0, 0], resumed
    assert_same(folders[0] / "whole", folders[0] / "run")
    assert other.read_bytes() == before


def test_a_job_goes_on_where_it_was_though_no_process_knows_that_it_is_started_again(folders, machines):
    options = {"TORCHELASTIC_RUN_ID": "job-7"}
    command = [*RUN[3:], "training.epochs=3"]
    assert [done.returncode for done in machines(left(*command), **options)] == [0, 0]
    assert json.loads((folders[0] / "run" / "local.json").read_text())["job"] == "job-7"
    other = machines("-m", "genkit", "run", *command, "--out", "run", TORCHELASTIC_RUN_ID="job-8")
    assert "run is there already" in other[0].stderr
    done = machines("-m", "genkit", "run", *command, "--out", "run", **options)
    assert [each.returncode for each in done] == [0, 0], done
    assert "going on after epoch 1 of 3" in done[0].stdout + done[0].stderr


def test_the_first_process_does_not_begin_anew_what_another_machine_has(folders, machines):
    both = machines(left(*RUN[3:], "training.epochs=3"))
    assert [done.returncode for done in both] == [0, 0], both
    shutil.move(folders[0] / "run", folders[1] / "run")
    both = machines(*RUN, "training.epochs=3", "--out", "run", TORCHELASTIC_RESTART_COUNT="1")
    assert [done.returncode for done in both] == [2, 2]
    for done in both:
        assert ": run: has a checkpoint of this run, and the first process does not see it; put runs on" in done.stderr
    assert list(folders[0].iterdir()) == []


@pytest.mark.parametrize("what", ["config", "data"])
def test_what_differs_between_machines_is_refused(folders, machines, what):
    for number, folder in enumerate(folders):
        np.save(folder / "x.npy", np.full((20, 4), 0.1 * (number if what == "data" else 1), "float32"))
        (folder / "c.yaml").write_text(
            "data: {name: arrays, path: x.npy}\nencoder: mlp\nsampler: {name: gaussian, latent: 1}\ndecoder: mlp\n"
            f"likelihood: gaussian\nloss: [reconstruction, kl]\nseed: {number if what == 'config' else 1}\n"
        )
    both = machines("-m", "genkit", "run", "c.yaml", "training.epochs=1", "--out", "run")
    assert [done.returncode for done in both] == [2, 2]
    for done in both:
        assert f"error: the {what} of process 1, on " in done.stderr
        assert "are not those of the first, on " in done.stderr
    assert not (folders[0] / "run").exists()
