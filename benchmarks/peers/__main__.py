"""Environments of the other frameworks: `python -m benchmarks.peers` makes those that are missing."""

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.peers import ENVIRONMENTS

REQUIREMENTS = Path(__file__).parent / "requirements"
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"

for requirements in sorted(REQUIREMENTS.glob("*.txt")):
    folder = ENVIRONMENTS / requirements.stem
    ready = folder / ".ready"
    if not ready.is_file():
        print(f"{folder}: {', '.join(requirements.read_text(encoding='utf-8').split())}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(requirements)]
        subprocess.run([*command, *(["-c", str(CONSTRAINTS)] if requirements.stem == "torch" else [])], check=True)
        ready.touch()
