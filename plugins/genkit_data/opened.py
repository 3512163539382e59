"""The files of arrays that a source has opened, and which of their arrays it has used."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from genkit.errors import DataError
from genkit_data.stored import Array, Stored

NAMED = 5
"""The number of names that a note lists."""


class Opened:
    """Files of arrays, each opened once."""

    def __init__(self) -> None:
        self.files: dict[Path, Stored] = {}
        self.used: defaultdict[Path, set[str]] = defaultdict(set)

    def file(self, path: Path, option: str) -> Stored:
        """The arrays of a file by name; raises DataError, after the option that names it."""
        if path not in self.files:
            self.files[path] = Stored(path, option)
        return self.files[path]

    def array(self, path: Path, name: str, option: str, of_name: str) -> Array:
        """An array of a file.

        Args:
            path: the file.
            name: the name of the array in it.
            option: the option that names the file, for messages.
            of_name: the option that names the array.

        Raises:
            DataError: the file cannot be read, or holds no array of that name.
        """
        arrays = self.file(path, option)
        if name not in arrays:
            raise DataError(f"{of_name}: {path} holds no '{name}'; it holds {', '.join(sorted(arrays)) or 'nothing'}")
        self.used[path].add(name)
        return arrays[name]

    def notes(self) -> tuple[str, ...]:
        """A line on the arrays that are there and are not used."""
        others = sorted({name for path, arrays in self.files.items() for name in arrays.keys() - self.used[path]})
        listed = ", ".join(others[:NAMED])
        return (f"left out: {len(others)} arrays of the file ({listed})",) if others else ()
