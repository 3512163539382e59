from genkit.cli.commands.describe import show
from genkit.model.summary import Row


def test_layers_that_read_the_same_input_share_a_line(capsys):
    rows = [
        Row("input", "digits", (1, 8, 8), 0),
        Row("encoder.layers.1", "Linear", (5,), 325, activation="ReLU"),
        Row("sampler.mean", "Linear", (2,), 12),
        Row("sampler.log_var", "Linear", (2,), 12, parallel=True),
    ]
    show(rows)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["input", "digits", "1×8×8", "0"]
    assert lines[2] == ["encoder.layers.1", "Linear", "+", "ReLU", "5", "325"]
    assert " ".join(lines[3]) == "sampler.mean | log_var Linear | Linear 2 | 2 12 | 12"
    assert lines[4] == ["349", "parameters"]
