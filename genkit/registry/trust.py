"""The code of plugins in one file that the user has run: a folder in the user's cache, by the hashes of their contents.

What lies there is believed by its content alone: a file whose content has not the hash of its place is no code that the
user ran. So a damaged folder, or two processes that write there, can only make a file count as never run.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path

from genkit.errors import GenkitWarning, RunError
from genkit.files import atomic
from genkit.registry.files import LARGEST, Code


def folder() -> Path:
    """The folder of the code that the user has run; to remove it is to trust none of it any more."""
    import pooch

    return Path(pooch.os_cache("genkit")) / "trusted-code"


def remember(code: Code) -> None:
    """Note that the user has run this code; warns (GenkitWarning) where that cannot be written."""
    if recall(code.name, code.sha256) is not None:
        return
    place = folder() / code.sha256 / code.name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder().chmod(0o700)
        with atomic.replacing(place) as temporary:
            temporary.write_bytes(code.source)
    except (OSError, RunError) as error:
        message = (
            f"cannot note in {folder()} that {code.distribution} is trusted ({error}); commands that open the run need "
            f"GENKIT_PLUGINS=all,PATH/{code.name}"
        )
        warnings.warn(message, GenkitWarning, stacklevel=2)


def recall(name: str, sha256: str) -> Code | None:
    """The code with that name and hash that the user has run before; None: there is none."""
    place = folder() / sha256 / name
    with contextlib.suppress(OSError):
        if _is_own(folder()) and place.is_file() and place.stat().st_size <= LARGEST:
            code = Code(name, place.read_bytes(), place)
            return code if code.sha256 == sha256 else None
    return None


def _is_own(place: Path) -> bool:
    """Whether only the user can write in a folder; always so on Windows, where users' folders are their own."""
    if not hasattr(os, "getuid"):
        return True
    about = place.stat()
    return about.st_uid == os.getuid() and not about.st_mode & 0o022
