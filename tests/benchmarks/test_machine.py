import json

import torch

from benchmarks.machine import machine, markdown, write


def test_results_say_where_and_by_what_command_they_were_measured(tmp_path):
    write(tmp_path / "new" / "r", "python -m x", [{"a": 1}], ["what", "n"], [["one", "1"], ["two", "2"]])
    written = json.loads((tmp_path / "new" / "r.json").read_text())
    assert written == {"command": "python -m x", "machine": machine(), "results": [{"a": 1}]}
    lines = (tmp_path / "new" / "r.md").read_text().splitlines()
    assert lines[0] == "`python -m x`"
    assert f"torch {torch.__version__.partition('+')[0]}" in lines[2]
    assert lines[4:] == ["| what | n |", "|---|---:|", "| one | 1 |", "| two | 2 |"]
    assert lines[4:] == markdown(["what", "n"], [["one", "1"], ["two", "2"]])
