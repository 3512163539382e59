from pathlib import Path

import pytest

from genkit.errors import RunError
from genkit.files.lock import locked


def test_a_lock_holds_where_its_file_cannot_name_the_holder(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with locked(tmp_path), pytest.raises(RunError, match="another process writes there now"), locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
