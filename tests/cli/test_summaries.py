import sys
from importlib.metadata import EntryPoint

import pytest

from genkit.cli.summaries import summary

SOURCE = '''
raise RuntimeError("imported")

def told():
    """Tell [b]something\x1b[2J.

    More.
    """

def silent(): ...
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package and a module whose code must not run."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "summed_up" / "inner").mkdir(parents=True)
    for place in ("summed_up/__init__.py", "summed_up/command.py", "summed_up/inner/__init__.py", "summed_alone.py"):
        (tmp_path / place).write_text(SOURCE)
    (tmp_path / "summed_broken.py").write_text("def told(:")
    return tmp_path


@pytest.mark.parametrize("module", ["summed_up", "summed_up.command", "summed_up.inner", "summed_alone"])
def test_the_first_line_is_read_without_importing(package, module):
    assert summary(EntryPoint("x", f"{module}:told", "genkit.commands")) == r"Tell [b]something\x1b[2J."
    assert module not in sys.modules


@pytest.mark.parametrize(
    "value",
    [
        "summed_up:silent",
        "summed_up:absent",
        "summed_up.absent:told",
        "no_such_package:told",
        "summed_broken:told",
        "sys:x",
    ],
)
def test_what_cannot_be_read_has_none(package, value):
    assert summary(EntryPoint("x", value, "genkit.commands")) is None
