"""The examples that come with genkit: configs by their names, wherever genkit is installed.

A wheel has them in this folder. An editable installation reads the folder `examples` of the repository.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

SUFFIXES = ("", ".yaml", ".yml")
"""The suffixes with which the name of an example may be written."""
SCHEMA = "genkit.schema.json"
"""The JSON Schema of configs with genkit's own parts, which lies beside the examples."""
EDITOR = re.compile(r"# yaml-language-server: .*\n")
"""The line that names the JSON Schema to editors."""


class Example(NamedTuple):
    """A config that comes with genkit."""

    name: str
    path: Path

    @property
    def system(self) -> str:
        """The first word of its name, such as `vae`: examples of one system have it in common."""
        return self.name.partition("-")[0]

    @property
    def data(self) -> str:
        """The name of its source of data."""
        match = re.search(r"^data:\s*(?:\{\s*)?(?:name:\s*)?(\w+)", self.text(), re.MULTILINE)
        return match[1] if match else ""

    @property
    def sentence(self) -> str:
        """The first sentence of its first comment, without the papers in brackets."""
        comment = re.match(r"(?:#(?! yaml-language-server:) .*\n)*", self.text())
        prose = " ".join(line.removeprefix("# ") for line in comment[0].splitlines()) if comment else ""
        prose = re.sub(r" \([^()]*\b(?:(?:19|20)\d\d\b|arXiv)[^()]*\)", "", prose)
        return re.split(r"(?<!\bal\.)(?<=\.)\s+", prose)[0]

    def text(self) -> str:
        """The whole file."""
        return self.path.read_text(encoding="utf-8")

    def copied_text(self) -> str:
        """The file without the line that names the JSON Schema, which lies beside the examples alone."""
        return EDITOR.sub("", self.text(), count=1)


@cache
def folder() -> Path:
    """The folder of the examples."""
    own = Path(__file__).parent
    return own if (own / SCHEMA).is_file() else own.parents[1] / "examples"


def names() -> list[str]:
    """The names of all examples."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def script(name: str) -> Example | None:
    """The Python file of a name beside the examples, such as one that makes their data; None: there is none."""
    path = folder() / name
    is_script = path.name == name and path.suffix == ".py" and not name.startswith("_") and path.is_file()
    return Example(path.stem, path) if is_script else None


def example(name: str) -> Example | None:
    """The example of a name, which may end in .yaml; None: there is none."""
    stem = re.sub(r"\.ya?ml$", "", name)
    return Example(stem, folder() / f"{stem}.yaml") if stem in names() else None


def spelling(config: str | Path) -> str:
    """A config as it is typed: the name of an example, else its path."""
    path = Path(config)
    return path.stem if path.is_absolute() and path.parent == folder() else str(config)


def config_path(source: str | Path) -> Path:
    """The file that a word means as a config: that file, NAME.yaml beside it, or the example of that name.

    What is none of them is given back as it is.
    """
    path = Path(source)
    if path.exists() and not path.is_dir():
        return path
    written = path.with_name(f"{path.name}.yaml") if path.name else path
    if not path.suffix and written.is_file():
        return written
    one = example(str(source)) if path.suffix in SUFFIXES and path.name == str(source) else None
    return path if one is None else one.path
