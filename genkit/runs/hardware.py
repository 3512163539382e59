"""The hardware of a run: what it trained on, for those who read its figures of time."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from genkit.parallel.cores import usable

PROCESSORS = Path("/proc/cpuinfo")


def record(device: torch.device) -> dict[str, str | int]:
    """The device by its kind, the processor by its name, the number of cores, the memory in GiB, the accelerator."""
    hardware: dict[str, str | int] = {"device": device.type, "processor": _processor(), "cores": len(usable())}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        hardware["memory"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    if device.type == "cuda":
        hardware["accelerator"] = torch.cuda.get_device_name(device)
    return hardware


def _processor() -> str:
    """The processor's name; its architecture where the system does not tell its name."""
    try:
        lines = PROCESSORS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine() or "unknown"
