"""Plugins in one file: how choices name them, how their code is read, and the modules that it becomes.

A choice names a file by its path, `./mine.py`, or by its name and its content, `./mine.py@SHA256`. A path is opened
only where the user hands it over: in a config for `genkit run` and the like, or in GENKIT_PLUGINS. From there on the
name and the content stand for the file, in a run's config and in model files: they lead to code that the user has run
before (`genkit.registry.trust`), and to nothing else.
"""

from __future__ import annotations

import hashlib
import inspect
import linecache
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from genkit.errors import ConfigError
from genkit.interfaces import INTERFACES
from genkit.registry.hooks import hookimpl
from genkit.registry.selection import CODE_NAME

LARGEST = 2**20
"""The largest size of a file in bytes."""
NO_PART = (
    "it has no part: no class that derives from one of genkit's interfaces and has a Config with a name, and no "
    "function that is marked with @genkit.hookimpl"
)


class Code(NamedTuple):
    """The code of a plugin in one file."""

    name: str
    """The name of the file."""
    source: bytes
    """The content, with Unix line ends."""
    path: Path
    """The file that was read, for messages that name a line."""

    @property
    def sha256(self) -> str:
        """The hash of the content."""
        return hashlib.sha256(self.source).hexdigest()

    @property
    def distribution(self) -> str:
        """What stands for the distribution of the file's parts: `./mine.py`."""
        return f"./{self.name}"

    @property
    def word(self) -> str:
        """The word of a choice that stands for this content in any place."""
        return f"{self.distribution}@{self.sha256}"

    @property
    def label(self) -> str:
        """The name and the start of the hash, for messages."""
        return f"{self.distribution} (sha256 {self.sha256[:12]}…)"


def read(word: str, folder: Path) -> Code:
    """The code of a file that the user hands over; none of it runs.

    Args:
        word: the path, relative to `folder`.
        folder: the folder of the config that names the file.

    Raises:
        ConfigError: there is no such file, it cannot be read, or it is no Python file.
    """
    path = Path(word)
    if path.suffix != ".py" or not re.fullmatch(CODE_NAME, path.name):
        raise ConfigError(
            f"{word}: a plugin in one file is a .py file whose name has letters, digits, '_', '-' and '.'"
        )
    try:
        path = folder / path.expanduser()
        if not path.is_file():
            what = "is a folder, and no" if path.is_dir() else "is no" if path.exists() else "there is no such"
            raise ConfigError(f"{word}: {what} file ({path.absolute()})")
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{word}: has more than {LARGEST:,} bytes: too much for a plugin in one file")
        source = path.read_bytes().replace(b"\r\n", b"\n")
        source.decode("utf-8")
        return Code(path.name, source, path.absolute())
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{word}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def module_of(code: Code) -> ModuleType:
    """Run the code as a module with a name of its own, and give the module the hook `components` if it has none.

    The code is UTF-8 whatever it says of itself: what people read is what runs.

    The hook brings every class that is defined in the file, derives from an interface and has a name.
    """
    stem = re.sub(r"\W", "_", code.name.removesuffix(".py"))
    module = ModuleType(f"genkit_file_{stem}_{code.sha256[:16]}")
    module.__file__ = str(code.path)
    text = code.source.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.splitlines(keepends=True)
    linecache.cache[str(code.path)] = (len(code.source), None, lines, str(code.path))  # later edits are not this code
    sys.modules[module.__name__] = module  # where pydantic and torch.compile look names up
    paths = list(sys.path)
    try:
        exec(compile(text, str(code.path), "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    finally:
        sys.path[:] = paths
    if "components" not in vars(module) and (classes := _classes_in(module)):
        vars(module)["components"] = hookimpl(lambda: classes)
    return module


def _classes_in(module: ModuleType) -> list[type[Any]]:
    """The classes of a module that are meant as parts: those with a name, else all that derive from an interface."""
    own = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
    candidates = list(dict.fromkeys(each for each in own if issubclass(each, INTERFACES)))
    return [each for each in candidates if _has_name(each)] or candidates


def _has_name(candidate: type[Any]) -> bool:
    field = getattr(candidate.Config, "model_fields", {}).get("name")
    return field is not None and not field.is_required()


def missing_neighbour(error: BaseException, code: Code) -> str:
    """The remedy where the code imports a module that lies beside it; empty for other errors."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return ""
    beside = code.path.parent / error.name.partition(".")[0]
    if not beside.is_dir() and not beside.with_suffix(".py").is_file():
        return ""
    return "; a plugin in one file imports nothing that lies beside it: make it a distribution, with genkit new-plugin"
