"""Plugins in one file: what is read, and the module that the code becomes."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from genkit.errors import ConfigError
from genkit.interfaces import Encoder
from genkit.registry.files import LARGEST, Code, missing_neighbour, module_of, read

PART = '''
from typing import Literal
from genkit import Encoder

class Part(Encoder):
    """x -> x."""

    class Config(Encoder.Config):
        name: Literal["{name}"] = "{name}"

    def forward(self, x):
        return x
'''


def code(text, name="mine.py"):
    return Code(name, text.encode(), Path("/nowhere") / name)


def test_a_file_is_read_from_the_folder_with_the_hash_of_its_text(tmp_path):
    (tmp_path / "mine.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    for word, folder in (("./mine.py", tmp_path), ("mine.py", tmp_path), (f"{tmp_path}/mine.py", Path("/nowhere"))):
        each = read(word, folder)
        assert each.path == tmp_path / "mine.py"
        assert each.sha256 == hashlib.sha256(b"x = 1\ny = 2\n").hexdigest()
        assert each.word == f"./mine.py@{each.sha256}"


def refused(tmp_path, word):
    with pytest.raises(ConfigError) as caught:
        read(word, tmp_path)
    (line,) = str(caught.value).splitlines()
    return line


def test_what_is_no_file_of_python_is_refused_by_name(tmp_path):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "my part.py").write_text("")
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'")
    (tmp_path / "long.py").write_bytes(b"#" * (LARGEST + 1))
    os.mkfifo(tmp_path / "pipe.py")
    assert refused(tmp_path, "./none.py").startswith(f"./none.py: there is no such file ({tmp_path}/none.py)")
    assert refused(tmp_path, "./folder.py").startswith("./folder.py: is a folder, and no file")
    assert refused(tmp_path, "./pipe.py").startswith("./pipe.py: is no file")  # and nothing waits for a writer
    assert refused(tmp_path, "./notes.txt").startswith("./notes.txt: a plugin in one file is a .py file")
    assert refused(tmp_path, "./my part.py").startswith("./my part.py: a plugin in one file is a .py file")
    assert refused(tmp_path, "./latin.py").startswith("./latin.py: cannot be read")
    assert refused(tmp_path, "./long.py").startswith("./long.py: has more than")
    assert "\x1b" not in refused(tmp_path, "./\x1b[2J.py")


def test_classes_with_a_name_are_its_parts_and_what_it_imports_is_none():
    module = module_of(code(PART.format(name="one") + "class Base(Encoder):\n    pass\n"))
    assert [each.__name__ for each in module.components()] == ["Part"]
    assert issubclass(module.Part, Encoder)
    assert sys.modules[module.Part.__module__] is module


def test_a_hook_of_its_own_says_what_its_parts_are():
    text = PART.format(name="two") + "from genkit import hookimpl\n@hookimpl\ndef components():\n    return []\n"
    assert module_of(code(text)).components() == []


def test_two_contents_of_one_name_are_two_modules():
    one, other = module_of(code("x = 1")), module_of(code("x = 2"))
    assert (one.x, other.x) == (1, 2)
    assert one.__name__ != other.__name__


def test_code_that_fails_leaves_no_module_and_no_path():
    modules, paths = set(sys.modules), list(sys.path)
    for text in ("import sys; sys.path.insert(0, '/x'); raise SystemExit(3)", "def f(:", "x = '\x00'"):
        with pytest.raises((SystemExit, SyntaxError, ValueError)):
            module_of(code(text))
    module_of(code("import sys; sys.path.append('/y')"))
    assert sys.path == paths
    assert len(set(sys.modules) - modules) == 1


def test_the_name_of_a_module_beside_it_is_explained(tmp_path):
    (tmp_path / "helper.py").write_text("")
    own = Code("mine.py", b"", tmp_path / "mine.py")
    assert "genkit new-plugin" in missing_neighbour(ModuleNotFoundError(name="helper.inner"), own)
    assert missing_neighbour(ModuleNotFoundError(name="scipy"), own) == ""
    assert missing_neighbour(ValueError(), own) == ""
