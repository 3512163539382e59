import pytest

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


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2", "data.npy"])
def test_a_file_that_is_no_config_is_said_to_be_read_as_one(cli, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x93NUMPY\x01\x00\xff")
    described = cli("describe", path)
    assert described.code == 2
    first, second = described.err.splitlines()
    assert first.startswith(f"error: {path}: cannot be read as text")
    assert second == (
        f"error: {path}: is read as a config; a config is .yaml, a model .safetensors, and a run a directory"
    )


def test_the_fault_of_a_config_has_its_line(cli, digits):
    described = cli("describe", digits, "sampler=point")
    assert described.err.startswith(f"error: {digits}:10:24: loss 'kl' needs a sampler with a KL divergence")
