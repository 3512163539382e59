import json

from genkit import tables
from genkit.describe import Row


def test_layers_that_read_the_same_input_share_a_line(capsys):
    rows = [
        Row("input", "digits", (1, 8, 8), 0),
        Row("encoder.layers.1", "Linear", (5,), 325, activation="ReLU"),
        Row("sampler.mean", "Linear", (2,), 12),
        Row("sampler.log_var", "Linear", (2,), 12, parallel=True),
    ]
    tables.print_rows(rows)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["input", "digits", "1×8×8", "0"]
    assert lines[2] == ["encoder.layers.1", "Linear", "+", "ReLU", "5", "325"]
    assert " ".join(lines[3]) == "sampler.mean | log_var Linear | Linear 2 | 2 12 | 12"
    assert lines[4] == ["349", "parameters"]


def test_figures_stand_a_line_each_and_long_lists_in_short(capsys):
    tables.print_figures(
        {"elbo": -1.5, "count": 3, "kl": None, "few": [1.0, 2.0], "many": [0.0, 1.0] * 20, "p": {"q": 0.5}}
    )
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["elbo", "-1.5000"],
        ["count", "3"],
        ["few", "1.000 2.000"],
        ["many", "0.000 to 1.000, mean 0.500"],
        ["p.q", "0.5000"],
    ]


def test_plugins_show_what_they_bring_and_what_is_wrong(capsys):
    row = {
        "name": "n",
        "distribution": "d",
        "version": "1",
        "components": ["encoder/e"],
        "events": [],
        "problems": ["no"],
    }
    tables.print_plugins([row])
    assert capsys.readouterr().out.splitlines() == ["n  (d 1)", "    components: encoder/e", "    problems: no"]


def test_json_is_json(capsys):
    tables.print_json({"a": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}
