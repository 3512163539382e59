"""Files that are there whole or not at all."""

import os
import stat

import pytest

from genkit.errors import RunError
from genkit.files import atomic


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def interrupted(path, error):
    with atomic.replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise error


def test_file_is_written_and_nothing_else_stays(tmp_path):
    with atomic.replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_file_is_replaced(tmp_path):
    (tmp_path / "a.txt").write_text("a long old text")
    atomic.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_old_file_is_there_until_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"


def test_temporary_file_lies_beside_the_file_and_has_its_suffix(tmp_path):
    with atomic.replacing(tmp_path / "a.npz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".npz"
        assert temporary.name != "a.npz"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [["a.txt"], []], ids=["old file", "no file"])
def test_block_that_fails_leaves_everything_as_it_was(tmp_path, before, error):
    for name in before:
        (tmp_path / name).write_text("old")
    with pytest.raises(error):
        interrupted(tmp_path / "a.txt", error)
    assert names(tmp_path) == before
    assert all((tmp_path / name).read_text() == "old" for name in before)


def test_missing_folders_are_made(tmp_path):
    atomic.write_text(tmp_path / "a" / "b" / "c.txt", "new")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "new"


def test_text_is_written_in_utf_8(tmp_path):
    atomic.write_text(tmp_path / "a.txt", "Sønderby: β·KL")
    assert (tmp_path / "a.txt").read_bytes() == "Sønderby: β·KL".encode()


def test_target_below_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("old")
    target = tmp_path / "file" / "a.txt"
    with pytest.raises(RunError) as caught:
        atomic.write_text(target, "new")
    assert str(caught.value).startswith(f"cannot write {target}: ")
    assert str(caught.value).endswith("; choose a place that can be written")
    assert (tmp_path / "file").read_text() == "old"


def test_target_that_is_a_folder_is_refused_by_name(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*folder: .*; choose a place that can be written"):
        atomic.write_text(tmp_path / "folder", "new")
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == []


def test_full_disk_is_told_and_keeps_the_old_file(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    (tmp_path / "a.txt").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*a\.txt: No space left on device; choose a place"):
        atomic.write_text(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_file_is_as_readable_as_any_other_new_file(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        atomic.write_text(tmp_path / "a.txt", "new")
        after = os.umask(mask)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode
    assert after == mask


def test_what_a_killed_process_left_is_removed_when_its_file_is_written_again(tmp_path):
    for name in (".genkit-a-12345678.txt", ".genkit-b-12345678.txt"):
        (tmp_path / name).write_text("half")
    atomic.write_text(tmp_path / "a.txt", "new")
    assert names(tmp_path) == [".genkit-b-12345678.txt", "a.txt"]
    atomic.sweep(tmp_path)
    assert names(tmp_path) == ["a.txt"]


def test_what_is_being_written_is_not_removed(tmp_path):
    with atomic.replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        atomic.sweep(tmp_path)
        atomic.write_text(tmp_path / "a.txt", "in between")
        assert temporary.exists()
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["a.txt"]
