"""What a result has to say of where it was measured, and how results are written."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """Processor, cores, GPU and versions."""
    found = {"processor": _processor(), "cores": len(os.sched_getaffinity(0)), "threads": torch.get_num_threads()}
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return {**found, "python": platform.python_version(), "torch": torch.__version__.partition("+")[0]}


def write(stem: Path, command: str, results: Any, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """STEM.json with everything, and STEM.md with the machine, the command and a table."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"command": command, "machine": machine(), "results": results}, indent=2)
    stem.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    where = ", ".join(f"{key} {value}" for key, value in machine().items())
    head = [f"`{command}`", "", where, ""]
    stem.with_suffix(".md").write_text("\n".join([*head, *markdown(columns, rows)]) + "\n", encoding="utf-8")


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose first column is text."""
    rule = "|".join(["---", *["---:"] * (len(columns) - 1)])
    return [f"| {' | '.join(columns)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
