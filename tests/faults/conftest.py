"""How much of the attack is made, and the table of what came of it."""

import os
import random
from collections.abc import Callable

import pytest

FULL = int(os.environ.get("FAULTS", "0"))
"""The number of generated inputs of the whole attack, as `make faults` sets it; 0: a small part of the attack."""
COLUMNS = ("cases", "lost", "unequal", "leftovers", "tracebacks", "signals", "hangs", "peak")
ROW = "fault row"


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of this session, which pytest prints at its start, and takes with `-p randomly_seed=...`."""
    return int(request.config.getoption("randomly_seed"))


@pytest.fixture
def chance(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """Random choices of a test, the same ones with the same seed."""
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`count("kills: vae", cases=99, lost=0, ...)`: a row of the table that the session ends with."""

    def add(what: str, **numbers: int) -> None:
        request.node.user_properties.append((ROW, {"what": what, **numbers}))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of all rows, and the seed."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)]
    rows = [value for each in reports for name, value in each.user_properties if name == ROW]
    if not rows:
        return
    terminalreporter.section(f"faults (seed {config.getoption('randomly_seed')})")
    terminalreporter.line(f"{'':32}" + "".join(f"{each:>12}" for each in COLUMNS))
    for what in sorted({row["what"] for row in rows}):
        row = _together([each for each in rows if each["what"] == what])
        terminalreporter.line(f"{what:32}" + "".join(f"{_shown(row, each):>12}" for each in COLUMNS))
    cases = sum(row.get("cases", 0) for row in rows)
    terminalreporter.line(f"{'in all':32}{cases:>12,}")


def _together(rows: list[dict]) -> dict:
    """One row of several: sums, and of the peaks the greatest."""
    names = {name for row in rows for name in row} - {"what"}
    return {name: (max if name == "peak" else sum)(row.get(name, 0) for row in rows) for name in names}


def _shown(row: dict, column: str) -> str:
    if column not in row:
        return "-"
    return f"{row[column] / 2**20:.0f} MiB" if column == "peak" else f"{row[column]:,}"
