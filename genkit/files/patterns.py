"""Patterns of paths, such as part-*.npy, and the files that match them."""

from __future__ import annotations

import re
from pathlib import Path


def is_pattern(text: str) -> bool:
    """Whether a path stands for all files that match it."""
    return re.search(r"[*?[]", text) is not None


def matches(pattern: str | Path) -> list[Path]:
    """The files that match a pattern, in their natural order: part-2 comes before part-10."""
    path = Path(pattern)
    root = Path(path.anchor)
    return sorted(root.glob(str(path.relative_to(path.anchor))), key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(each), "") if each.isdigit() else (0, each) for each in re.split(r"(\d+)", str(path))]
