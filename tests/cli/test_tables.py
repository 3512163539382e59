import json

from rich.console import Console

from genkit.cli import tables


def test_json_is_json(capsys):
    tables.print_json({"a": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}


def test_texts_fold_and_numbers_stay_whole(capsys):
    table = tables.table(("what",), ("count",), title="all")
    table.add_row("some words that are too long", "1,234,567")
    Console(width=24).print(table)
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0].strip(), lines[1].split()] == ["all", ["what", "count"]]
    assert lines[2].endswith("1,234,567")
    assert " ".join(line.removesuffix("1,234,567").strip() for line in lines[2:]) == "some words that are too long"
