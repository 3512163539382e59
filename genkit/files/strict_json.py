"""JSON text that every reader takes: NaN and infinity, which JSON does not have, are refused and named."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from genkit.errors import RunError


def dumps(value: Any, indent: int | None = None, ensure_ascii: bool = True) -> str:
    """Plain values as JSON; raises RunError with the names of numbers that are not finite."""
    try:
        return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)
    except ValueError:
        named = ", ".join(f"{name} {number}" for name, number in _not_finite(value, ""))
        raise RunError(f"figures are not finite, and cannot be written as JSON: {named}") from None


def _not_finite(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield name, value
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, part in parts:
        yield from _not_finite(part, f"{name}.{key}" if name else str(key))
