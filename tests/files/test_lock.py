"""One process at a time writes in a folder."""

import os
import signal
from pathlib import Path

import pytest

from genkit.errors import GenkitWarning, RunError
from genkit.files import lock
from genkit.files.lock import is_locked, locked


def test_the_second_is_refused_and_told_who_writes(tmp_path):
    said = rf"process {os.getpid()} on .* writes there now"
    with locked(tmp_path), pytest.raises(RunError, match=said), locked(tmp_path):
        pass


def test_afterwards_it_is_free_and_nothing_stays(tmp_path):
    for _ in range(2):
        with pytest.raises(ValueError, match="inside"), locked(tmp_path):
            raise ValueError("inside")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_process_holds_nothing(tmp_path):
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(tmp_path):
            os.write(told, b"1")
            signal.pause()
    os.read(ready, 1)
    with pytest.raises(RunError, match=f"process {child} "), locked(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / lock.NAME).exists()
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def no_locks(_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.FileLock, "acquire", no_locks)
    with pytest.warns(GenkitWarning, match="cannot be locked .*No locks available"), locked(tmp_path):
        pass


def test_a_lock_holds_where_its_file_cannot_name_the_holder(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with locked(tmp_path), pytest.raises(RunError, match="another process writes there now"), locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_locked_while_a_process_holds_it_and_asking_changes_nothing(tmp_path):
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        text = (tmp_path / lock.NAME).read_text()
        assert is_locked(tmp_path)
        assert (tmp_path / lock.NAME).read_text() == text
    assert not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []
