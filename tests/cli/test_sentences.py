import sys

import pytest

from genkit.cli.sentences import sentence


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose import fails, with a module of two functions."""
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut" / "__init__.py").write_text("raise SystemExit(3)")
    (tmp_path / "shut" / "inner.py").write_text('def one():\n    """Do it.\n\n    Well."""\n\ndef two():\n    pass\n')
    (tmp_path / "shut" / "wrong.py").write_text("def (")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_it_is_read_from_the_file_and_nothing_is_imported(package):
    assert sentence("shut.inner", "one") == "Do it."
    assert "shut" not in sys.modules


@pytest.mark.parametrize(
    ("module", "function"),
    [("shut.inner", "two"), ("shut.inner", "three"), ("shut.wrong", "one"), ("shut.absent", "one"), ("absent", "one")],
)
def test_there_may_be_none(package, module, function):
    assert sentence(module, function) is None


def test_a_module_without_a_file_has_none():
    assert sentence("sys", "exit") is None
