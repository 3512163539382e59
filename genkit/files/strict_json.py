"""JSON: written so that every reader takes it, and read from files that may be damaged, or anybody's.

NaN and infinity, which JSON does not have, are refused and named when they are written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genkit.errors import RunError

LARGEST = 2**28
"""The largest file that is read, in bytes."""


def dumps(value: Any, indent: int | None = None, ensure_ascii: bool = True) -> str:
    """Plain values as JSON; raises RunError with the names of numbers that are not finite."""
    try:
        return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)
    except ValueError:
        named = ", ".join(f"{name} {number}" for name, number in _not_finite(value, ""))
        raise RunError(f"figures are not finite, and cannot be written as JSON: {named}") from None


def loads(text: str) -> Any:
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
    return loads(path.read_text(encoding="utf-8"))


def _not_finite(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield name, value
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, part in parts:
        yield from _not_finite(part, f"{name}.{key}" if name else str(key))
