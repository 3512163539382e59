"""Threads wait briefly where the command line begins, unless the user says how."""

import os
import subprocess
import sys

import pytest

from genkit.speed.waiting import TURNS, VARIABLE, wait_briefly

SAYS = f"""
import os, sys
import genkit.cli
genkit.cli.application = lambda: print(os.environ.get("{VARIABLE}"), "torch" in sys.modules) or sys.exit()
genkit.cli.main()
"""


def _said(**variables):
    own = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", VARIABLE)}
    done = subprocess.run(
        [sys.executable, "-c", SAYS], env={**own, **variables}, check=True, capture_output=True, text=True
    )
    return done.stdout.split()


@pytest.mark.slow
def test_the_command_line_says_so_before_torch_is_imported():
    assert _said() == [str(TURNS), "False"]
    assert _said(**{VARIABLE: "7"}) == ["7", "False"]
    assert _said(OMP_WAIT_POLICY="active") == ["None", "False"]


def test_what_the_user_says_stays(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    mine = {"OMP_WAIT_POLICY": "passive"}
    assert not wait_briefly(mine)
    assert mine == {"OMP_WAIT_POLICY": "passive"}
    assert wait_briefly(free := {"PATH": "/bin"})
    assert free == {"PATH": "/bin", VARIABLE: str(TURNS)}


def test_after_torch_it_is_too_late():
    assert "torch" in sys.modules
    assert not wait_briefly(environment := {})
    assert environment == {}
