"""What `genkit watch` shows of runs that have ended, and of one that goes on in another process."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from genkit.files.lock import NAME as LOCK


@pytest.fixture
def ended(trained, tmp_path, monkeypatch):
    """`ended(epochs)`: the name of a run in runs/ of which so many epochs are done, with nothing after training."""

    def leave(epochs):
        monkeypatch.chdir(tmp_path)
        source, path = trained["vae-digits"].directory, tmp_path / "runs" / "left"
        path.mkdir(parents=True)
        shutil.copy(source.config, path)
        lines = source.metrics.read_text().splitlines(keepends=True)
        (path / "metrics.jsonl").write_text("".join(lines[:epochs]))
        return path

    return leave


def test_a_finished_run_is_shown_as_such(cli, trained):
    path = trained["vae-digits"].directory.path
    answer = cli("watch", path)
    assert (answer.code, answer.err) == (0, "")
    line, *rest = answer.out.splitlines()
    assert line.startswith("epoch 3/3  loss ")
    assert "  validation " in line
    assert " ".join(" ".join(rest).split()) == f"{path} is finished after 3 epochs"


def test_a_run_that_was_left_is_found_by_its_name_and_says_how_to_go_on(cli, ended):
    ended(2)
    answer = cli("watch", "left")
    assert answer.code == 1
    line, *rest = answer.out.splitlines()
    assert re.match(r"epoch 2/3  loss .* \d+:\d\d left  ", line)
    assert rest == ["runs/left was interrupted after 2 of 3 epochs", "to go on: genkit resume runs/left"]


def test_the_reason_of_a_failed_run_is_shown_as_plain_text(cli, ended):
    path = ended(1)
    (path / "failure.json").write_text(json.dumps({"error": "no space \x1b[31m[b]"}))
    assert r"runs/left failed after 1 of 3 epochs: no space \x1b[31m[b]" in cli("watch", "runs/left").out


def test_a_killed_run_says_so(cli, ended):
    path = ended(0)
    (path / LOCK).write_text(f"process {2**22 + 1} on {os.uname().nodename}\n")
    answer = cli("watch", "runs/left")
    assert answer.code == 1
    assert answer.out.splitlines()[0] == "runs/left was killed after 0 of 3 epochs"


@pytest.mark.parametrize("name", ["nothing", "", "runs"])
def test_what_is_no_run_is_refused(cli, ended, name):
    ended(1)
    answer = cli("watch", name)
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert answer.out == ""


@pytest.fixture
def started(environment, tmp_path):
    """`started("run", path)`: a command in a process of its own, which is killed at the end at the latest."""
    with contextlib.ExitStack() as stack:

        def start(*words):
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = stack.enter_context(subprocess.Popen(["genkit", *words], env=environment, cwd=tmp_path, **pipes))
            stack.callback(process.kill)
            return process

        yield start


@pytest.mark.slow
def test_a_run_in_another_process_is_watched_to_its_end(digits, started, tmp_path):
    small = ["training.epochs=100000", "encoder.hidden=[8]", "decoder.hidden=[8]"]
    run = started("run", digits, *small, "-q", "--out", "run")
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGSTOP)  # it need not compute while it is looked at
    watches = [started("watch", "run") for _ in range(2)]
    firsts = [watch.stdout.readline() for watch in watches]
    watches[0].send_signal(signal.SIGINT)
    out, err = watches[0].communicate(timeout=300)
    assert (watches[0].returncode, err) == (130, "run is no longer watched; it goes on\n")
    assert run.poll() is None
    assert watches[1].poll() is None
    run.kill()
    out, err = watches[1].communicate(timeout=300)
    run.communicate(timeout=300)
    assert (watches[1].returncode, err) == (1, "")
    assert all(re.match(r"epoch +\d+/100000  loss .* left", line) for line in firsts)
    assert re.search(r"run was killed after \d+ of 100000 epochs\nto go on: genkit resume run\n$", out)
