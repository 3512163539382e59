"""The code of plugins in one file that the user has run: a folder in the user's cache, by the hashes of their contents.

What lies there is believed by its content alone: a file whose content has not the hash of its place is no code that the
user ran. So a damaged folder, or two processes that write there, can only make a file count as never run.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from genkit.errors import GenkitWarning, RunError, in_a_line
from genkit.files import atomic
from genkit.registry.files import LARGEST, Code
from genkit.registry.selection import VARIABLE


def folder() -> Path:
    """The folder of the code that the user has run; to remove it is to trust none of it any more."""
    import pooch

    return Path(pooch.os_cache("genkit")) / "trusted-code"


def remember(code: Code) -> None:
    """Note that the user has run this code; warns (GenkitWarning) where that cannot be written."""
    place = folder() / code.sha256 / code.name
    try:
        if _read(place, code.sha256) is not None and _fault() is None:
            return
        if _fault() is None:
            folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        if (fault := _fault()) is not None:
            raise RunError(fault)
        with atomic.replacing(place) as temporary:
            temporary.write_bytes(code.source)
    except (OSError, RunError) as error:
        message = (
            f"that {code.distribution} is trusted cannot be noted ({in_a_line(error)}); commands that open the run "
            f"need {VARIABLE}=all,PATH/{code.name}"
        )
        warnings.warn(message, GenkitWarning, stacklevel=2)


def recall(name: str, sha256: str) -> Code | None:
    """The code with that name and hash that the user has run before; None: there is none.

    Warns (GenkitWarning) where the folder cannot be trusted or read.
    """
    try:
        if (fault := _fault()) is None:
            return _read(folder() / sha256 / name, sha256)
    except OSError as error:
        fault = f"{folder()}: cannot be read ({error.strerror}), so no code in it is trusted"
    warnings.warn(fault, GenkitWarning, stacklevel=2)
    return None


def _read(place: Path, sha256: str) -> Code | None:
    """The code at a place; None: there is none, or it has another hash."""
    if not place.is_file() or place.stat().st_size > LARGEST:
        return None
    code = Code(place.name, place.read_bytes(), place)
    return code if code.sha256 == sha256 else None


def _fault() -> str | None:
    """Why nothing in the folder is trusted; None: the user alone writes there, or it is not there yet.

    On Windows, users' folders are their own. Without a home, the folder would begin in the working directory.
    """
    if not folder().is_absolute():
        return f"{folder()}: is in no home of yours, so no code in it is trusted; set HOME"
    if sys.platform == "win32" or not folder().exists():
        return None
    about, links = folder().stat(), [each for each in (folder(), *folder().parents) if each.is_symlink()]
    own = about.st_uid == os.getuid() and all(each.lstat().st_uid in (0, os.getuid()) for each in links)
    if own and not about.st_mode & 0o022:
        return None
    return f"{folder()}: others can write there, so no code in it is trusted; remove it"
