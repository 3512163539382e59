import json

import torch

from benchmarks.machine import machine, show, write


def test_results_say_where_and_by_what_command_they_were_measured(tmp_path):
    write(tmp_path / "new" / "r", "python -m x", [{"a": 1}], ["what", "n"], [["one", "1"], ["two", "2"]])
    written = json.loads((tmp_path / "new" / "r.json").read_text())
    assert written == {"command": "python -m x", "machine": machine(), "results": [{"a": 1}]}
    lines = (tmp_path / "new" / "r.md").read_text().splitlines()
    assert lines[0] == "`python -m x`"
    assert f"torch {torch.__version__.partition('+')[0]}" in lines[2]
    assert lines[4:] == ["| what | n |", "|---|---:|", "| one | 1 |", "| two | 2 |"]


def test_the_table_on_the_terminal_has_its_text_to_the_left(capsys):
    show(["what", "n"], [["one", "1"], ["eleven", "11"]], "numbers")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "numbers"
    assert [line.split() for line in lines[1:]] == [["what", "n"], ["one", "1"], ["eleven", "11"]]
