import json

import pytest

from genkit.examples import folder, names


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("width", [60, 79, 130])
def test_all_are_listed_within_the_width(cli, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = cli("examples").out.splitlines()
    assert max(map(len, lines)) <= max(width, 79)
    assert {line.partition(" ")[0] for line in lines} >= {*names()}
    assert "genkit run NAME" in lines[-1]


def test_each_is_listed_in_json(cli):
    rows = json.loads(cli("examples", "--json").out)
    assert [row["name"] for row in rows] == names()
    assert all(row["what"] and row["data"] for row in rows)


def test_a_copy_is_the_example_and_overwrites_nothing(cli, tmp_path):
    assert cli("examples", "gan").out == "gan.yaml\n"
    mine = (tmp_path / "gan.yaml").read_text()
    assert mine.splitlines() == [
        line for line in (folder() / "gan.yaml").read_text().splitlines() if "$schema" not in line
    ]
    answer = cli("examples", "gan")
    assert (answer.code, answer.err) == (2, "error: gan.yaml: is there already; choose another file with --out\n")
    assert cli("examples", "gan.yaml", "--out", "sub/mine.yaml").out == "sub/mine.yaml\n"
    assert cli("check", "sub/mine.yaml", "data.size=8", "--no-probe").code == 0
    assert cli("examples", "transformer_activations.py").out == "transformer_activations.py\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gna"], "'gna': there is no such example; did you mean 'gan'?"),
        (["xyzzy"], "'xyzzy': there is no such example; `genkit examples` lists all"),
        (["../gan"], "there is no such example"),
        (["--out", "x.yaml"], "--out x.yaml: which example? write its name: genkit examples NAME --out x.yaml"),
    ],
)
def test_what_is_no_example(cli, tmp_path, words, message):
    answer = cli("examples", *words)
    assert answer.code == 2
    assert message in answer.err
    assert [*tmp_path.iterdir()] == []
