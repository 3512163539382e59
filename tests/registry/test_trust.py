"""The code that the user has run before: believed by its content alone."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from genkit.errors import GenkitWarning
from genkit.registry import trust
from genkit.registry.files import Code

CODE = Code("mine.py", b"x = 1\n", Path("/nowhere/mine.py"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def recalled(code=CODE):
    return trust.recall(code.name, code.sha256)


def test_code_is_recalled_by_its_name_and_its_content():
    assert recalled() is None
    trust.remember(CODE)
    trust.remember(CODE)
    assert recalled().source == CODE.source
    assert recalled().path.name == "mine.py"
    assert trust.recall("other.py", CODE.sha256) is None
    assert trust.recall("mine.py", "0" * 64) is None


def test_what_has_another_content_than_its_place_says_is_not_trusted_and_is_replaced():
    trust.remember(CODE)
    place = recalled().path
    for damage in (b"", b"x = 2\n", b"x = 1\n#"):
        place.write_bytes(damage)
        assert recalled() is None
    trust.remember(CODE)
    assert recalled() is not None


def test_a_folder_that_others_can_write_is_not_trusted():
    trust.remember(CODE)
    assert trust.folder().stat().st_mode & 0o777 == 0o700
    trust.folder().chmod(0o777)
    with pytest.warns(GenkitWarning, match=r"trusted-code: others can write there, so no code in it is trusted; rem"):
        assert recalled() is None
    with pytest.warns(GenkitWarning, match=r"that \./mine\.py is trusted cannot be noted .*others can write there"):
        trust.remember(CODE)
    trust.folder().chmod(0o700)
    assert recalled() is not None


def test_a_folder_of_somebody_else_is_not_trusted(monkeypatch):
    trust.remember(CODE)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.warns(GenkitWarning, match=r"others can write there"):
        assert recalled() is None


def test_a_link_of_somebody_else_is_not_followed(tmp_path, monkeypatch):
    trust.remember(CODE)
    (tmp_path / "cache").rename(tmp_path / "moved")
    (tmp_path / "cache").symlink_to(tmp_path / "moved")
    assert recalled() is not None  # a link of one's own

    def lstat(path):
        about = os.lstat(path)
        return SimpleNamespace(st_mode=about.st_mode, st_uid=12345)

    monkeypatch.setattr(Path, "lstat", lstat)
    with pytest.warns(GenkitWarning, match=r"others can write there"):
        assert recalled() is None


def test_what_cannot_be_read_is_said_and_not_trusted(monkeypatch):
    trust.remember(CODE)

    def fail(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.warns(GenkitWarning, match=r"trusted-code: cannot be read \(Permission denied\)"):
        assert recalled() is None


def test_without_a_home_nothing_below_the_working_directory_is_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "folder", lambda: Path("~/.cache/genkit/trusted-code"))
    monkeypatch.chdir(tmp_path)
    with pytest.warns(GenkitWarning, match=r"cannot be noted .*is in no home of yours"):
        trust.remember(CODE)
    assert list(tmp_path.iterdir()) == []
    place = trust.folder() / CODE.sha256 / CODE.name
    place.parent.mkdir(parents=True)
    place.write_bytes(CODE.source)
    with pytest.warns(GenkitWarning, match=r"is in no home of yours, so no code in it is trusted; set HOME"):
        assert recalled() is None


def test_odd_things_in_its_place_are_not_opened():
    trust.folder().mkdir(parents=True, mode=0o700)
    os.mkfifo(trust.folder() / CODE.sha256)
    assert recalled() is None
    (trust.folder() / CODE.sha256).unlink()
    (trust.folder() / CODE.sha256 / CODE.name).mkdir(parents=True)
    assert recalled() is None


def test_a_place_that_cannot_be_written_is_a_warning_with_the_remedy(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.warns(GenkitWarning, match=r"cannot be noted \(.*\); .* need GENKIT_PLUGINS=all,PATH/mine\.py"):
        trust.remember(CODE)
    assert recalled() is None


def test_many_writers_at_once_leave_whole_files():
    codes = [Code("mine.py", f"x = {number % 3}\n".encode(), Path("mine.py")) for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(trust.remember, codes))
    assert all(recalled(code).source == code.source for code in codes)
    assert len([path for path in trust.folder().rglob("*") if path.is_file()]) == 3
