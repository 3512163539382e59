"""The machine of a measurement, and the files of results."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from genkit.cli import tables
from genkit.files import markdown


def machine() -> dict[str, Any]:
    """Processor, cores, threads, GPU and versions."""
    facts = {"processor": _processor(), "cores": len(os.sched_getaffinity(0)), "threads": torch.get_num_threads()}
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return {**facts, "python": platform.python_version(), "torch": torch.__version__.partition("+")[0]}


def write(stem: Path, command: str, results: Any, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """STEM.json with everything, and STEM.md with the machine, the command and a table."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"command": command, "machine": machine(), "results": results}, indent=2)
    stem.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    where = ", ".join(f"{key} {value}" for key, value in machine().items())
    head = [f"`{command}`", "", where, ""]
    stem.with_suffix(".md").write_text(
        "\n".join([*head, markdown.table(columns[:1], rows, numbers=columns[1:])]) + "\n", encoding="utf-8"
    )


def show(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Print a table whose first column is text."""
    table = tables.table(columns[:1], columns[1:], title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
