"""The free memory of a device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

NO_LIMIT = 2**60
"""The bytes from which a limit means none."""


def free(device: torch.device) -> int | None:
    """The bytes that a process can still take on a device, within the limits of its control group.

    None: this system does not say.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limits = [limit for limit in (_available(), _left_by_group()) if limit is not None]
    return min(limits, default=None)


def _available() -> int | None:
    """The bytes that Linux can give without swapping, caches included; on other systems the free pages."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _left_by_group(root: Path = Path("/sys/fs/cgroup"), mine: Path = Path("/proc/self/cgroup")) -> int | None:
    """The bytes that the limits of this process's control group, and of its parents, leave; None: no limit."""
    try:
        lines = mine.read_text().splitlines()
    except OSError:
        return None
    limits = []
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers in ("", "memory"):  # cgroup v2 has all controllers in one tree
            base = root / controllers
            group = base / path.lstrip("/")
            limits += [room for each in (group, *group.parents) if each.is_relative_to(base) for room in _left(each)]
    return min(limits, default=None)


def _left(group: Path) -> Iterator[int]:
    for limit, usage in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        try:
            most, bytes_taken = (group / limit).read_text().strip(), int((group / usage).read_text())
        except (OSError, ValueError):
            continue
        if most.isdigit() and int(most) < NO_LIMIT:
            yield max(0, int(most) - bytes_taken + _droppable(group))


def _droppable(group: Path) -> int:
    """The bytes of cached files that count as taken, and that Linux drops where memory is needed."""
    try:
        lines = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return int(lines.get("inactive_file", lines.get("total_inactive_file", 0)))
    except (OSError, ValueError):
        return 0
