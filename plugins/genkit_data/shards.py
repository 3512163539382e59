"""Files that an option names: one, a pattern, or a list; and the data of several files as those of one.

N data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genkit.errors import DataError
from genkit.files.patterns import is_pattern, matches
from genkit.interfaces.reader import Data, joined


def matching(asked: str | Sequence[str], option: str) -> list[Path]:
    """The files that an option names, those of a pattern in their natural order: part-2 comes before part-10.

    Raises:
        DataError: a pattern matches no file.
    """
    files: list[Path] = []
    for text in [asked] if isinstance(asked, str) else asked:
        path = Path(text).expanduser()
        if path.exists() or not is_pattern(text):
            files.append(path)
            continue
        if not (matching_files := matches(path)):
            raise DataError(f"{option}: no file matches {text}")
        files += matching_files
    return files


def together(parts: Sequence[Data], paths: Sequence[Path], option: str) -> Data:
    """The data of several files, one after the other.

    Raises:
        DataError: data of two files have different shapes or types.
    """
    for x, path in zip(parts, paths, strict=True):
        if x.shape[1:] != parts[0].shape[1:] or x.dtype != parts[0].dtype:
            forms = [f"{tuple(each.shape[1:])} of {each.dtype}" for each in (parts[0], x)]
            raise DataError(
                f"{option}: {paths[0]} holds data of shape {forms[0]}, and {path} of {forms[1]}; the files of one data "
                "set have data of one shape and type"
            )
    return parts[0] if len(parts) == 1 else joined(parts)
