"""JSON from files that may be damaged, or anybody's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LARGEST = 2**28
"""The largest file that is read, in bytes."""


def parse(text: str) -> Any:
    """The plain values of JSON; raises ValueError, whatever is wrong with it."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read(path: Path) -> Any:
    """The plain values of a JSON file; raises ValueError, whatever is wrong with it, and OSError."""
    if not path.is_file():  # a pipe or a device would be read for ever
        raise FileNotFoundError(2, "there is no such file", str(path))
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    return parse(path.read_text(encoding="utf-8"))
