"""Files that commands write for users: whole or not at all, and never in the place of a file of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from genkit.errors import RunError
from genkit.files import atomic
from genkit.record.directory import CONFIG_FILE, RunDirectory


@contextlib.contextmanager
def output_file(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path`, with the same suffix, that replaces `path` when the block ends without an error.

    Compute inside the block, so that a path that cannot be is refused before.

    Args:
        path: the file to write.

    Raises:
        RunError: the file is one of a run's own, such as its weights, or cannot be written; what was there is there.

    Example:
        >>> with output_file("distances.csv") as temporary:
        ...     _ = temporary.write_text("row,distance")
    """
    path = Path(path)
    refuse_file_of_run(path)
    with atomic.replacing(path) as temporary:
        yield temporary


def refuse_file_of_run(path: Path, option: str = "") -> None:
    """Raise RunError where a path, or what it links to, is a file that a run has written or will write.

    Args:
        path: the file to write.
        option: the option that says the path, for the message.
    """
    for each in (path, path.resolve()):
        if (each.parent / CONFIG_FILE).is_file() and each.name in RunDirectory(each.parent).names():
            where = f"{option} {path}" if option else str(path)
            raise RunError(f"{where}: is a file of that run, and would be lost; choose another name")
