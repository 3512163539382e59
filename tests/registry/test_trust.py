"""The code that the user has run before: believed by its content alone."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    assert recalled() is None
    trust.remember(CODE)
    assert recalled() is not None


def test_odd_things_in_its_place_are_not_opened():
    trust.folder().mkdir(parents=True, mode=0o700)
    os.mkfifo(trust.folder() / CODE.sha256)
    assert recalled() is None
    (trust.folder() / CODE.sha256).unlink()
    (trust.folder() / CODE.sha256 / CODE.name).mkdir(parents=True)
    assert recalled() is None


def test_a_place_that_cannot_be_written_is_a_warning_with_the_remedy(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.warns(GenkitWarning, match=r"cannot note in .*trusted-code.* GENKIT_PLUGINS=all,PATH/mine\.py"):
        trust.remember(CODE)
    assert recalled() is None


def test_many_writers_at_once_leave_whole_files():
    codes = [Code("mine.py", f"x = {number % 3}\n".encode(), Path("mine.py")) for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(trust.remember, codes))
    assert all(recalled(code).source == code.source for code in codes)
    assert len([path for path in trust.folder().rglob("*") if path.is_file()]) == 3
