"""The state of a run, as anybody sees it who looks at its directory."""

import json
import os
import platform
import subprocess
import sys

import pytest

from genkit.errors import RunError, TrainingError
from genkit.files.lock import NAME, locked
from genkit.record.directory import RunDirectory
from genkit.record.stages import STAGES
from genkit.record.state import State, Word, failure_recorded, state_of


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "config.yaml").write_text("name: it\n")
    return RunDirectory(tmp_path)


def finish(directory):
    directory.model.write_bytes(b"")
    directory.stages.path.write_text(json.dumps({"epoch": 1, "done": list(STAGES)}))


def test_a_run_that_a_process_writes_is_running_whatever_is_there(directory):
    finish(directory)
    with locked(directory.path):
        assert state_of(directory) == State(Word.RUNNING)
        assert (directory.path / NAME).read_text().startswith(f"process {os.getpid()} ")
    assert state_of(directory) == State(Word.FINISHED)


def test_a_run_that_was_left_is_interrupted(directory):
    for error in (KeyboardInterrupt, SystemExit):
        with pytest.raises(error), locked(directory.path), failure_recorded(directory):
            raise error
        assert state_of(directory) == State(Word.INTERRUPTED)


def test_an_error_is_kept_in_a_line_until_the_run_goes_on(directory):
    with pytest.raises(TrainingError), failure_recorded(directory):
        raise TrainingError("kl is NaN", "and loss too")
    assert state_of(directory) == State(Word.FAILED, "kl is NaN; and loss too")
    with failure_recorded(directory):
        assert state_of(directory).word == Word.INTERRUPTED
    directory.failure.write_text("[")
    assert state_of(directory) == State(Word.FAILED)


def test_a_failure_that_cannot_be_written_hides_no_error(directory, monkeypatch):
    def full(*_):
        raise RunError("no space")

    monkeypatch.setattr("genkit.files.atomic.write_text", full)
    with pytest.raises(ValueError, match="the cause"), failure_recorded(directory):
        raise ValueError("the cause")


@pytest.mark.skipif(os.name != "posix", reason="needs processes that end without a word")
def test_a_process_that_ended_without_a_word_was_killed(directory):
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    holders = [f"process {int(child.stdout)} on {platform.node()}\n", "process 1 on another machine\n", "", "\udcff"]
    for holder in holders:
        (directory.path / NAME).write_text(holder, errors="surrogateescape")
        assert state_of(directory) == State(Word.KILLED)
    finish(directory)
    assert state_of(directory) == State(Word.FINISHED)
