import hashlib
import json

import pytest
from safetensors.torch import save_file

from genkit.errors import WeightsError
from genkit.sharing import weights
from genkit.sharing.push import inspect


@pytest.fixture
def changed(finished, tmp_path):
    """Writes a copy of the model file whose header went through a function."""

    def write(change):
        tensors, metadata = weights.read_tensors(finished.directory.model)
        header = json.loads(metadata["genkit"])
        change(header)
        save_file(tensors, tmp_path / "m.safetensors", metadata={"genkit": json.dumps(header)})
        return tmp_path / "m.safetensors"

    return write


def without_two(header):
    header["config"].update(encoder={"name": "wavelet"}, sampler={"name": "tide"})
    for distribution, part in (("genkit-wavelet", "encoder/wavelet"), ("genkit-tide", "sampler/tide")):
        header["plugins"].append({"distribution": distribution, "version": "3.1", "components": [part]})


def test_a_model_that_can_be_loaded_is_described(finished):
    found = inspect(finished.directory.path)
    assert found.path == finished.directory.model
    assert found.sha256 == hashlib.sha256(finished.directory.model.read_bytes()).hexdigest()
    assert (found.name, found.parameters, found.problem, found.install) == ("vae-digits", 99_908, "", "")
    assert [finding.state for finding in found.plugins] == ["the same"]
    assert json.loads(json.dumps(found.to_json()))["data"]["shape"] == [1, 8, 8]


def test_what_is_missing_is_one_line_for_pip(cli, changed):
    path = changed(without_two)
    found = inspect(path)
    assert found.install == "pip install 'genkit-wavelet==3.1' 'genkit-tide==3.1'"
    assert found.parameters is None
    assert "encoder 'wavelet' of genkit-wavelet 3.1, and sampler 'tide' of genkit-tide 3.1" in found.problem
    answer = cli("load", path)
    assert answer.code == 2
    assert answer.out.endswith(f"cannot be loaded here\n{found.problem}\n{found.install}\n")
    assert "genkit-tide 3.1 (sampler/tide): it is not installed" in answer.out


def test_other_code_is_told_and_no_hindrance(cli, changed):
    path = changed(lambda header: header["plugins"][0].update(sha256="0" * 64))
    found = inspect(path)
    assert [finding.state for finding in found.plugins] == ["other code"]
    assert found.problem == ""
    answer = cli("load", path)
    assert answer.code == 0
    assert answer.err == ""
    assert "what is installed is other code (sha256 " in answer.out


@pytest.mark.filterwarnings("default::genkit.errors.GenkitWarning")
def test_a_command_warns_in_one_line_and_goes_on(cli, changed):
    path = changed(lambda header: header["plugins"][0].update(version="0.0.1"))
    answer = cli("describe", path, "--json")
    assert answer.code == 0
    assert answer.err.startswith(f"warning: {path}: may give other figures: made with genkit-torch 0.0.1, and")
    assert answer.err.count("\n") == 1
    assert json.loads(answer.out)[0]["shape"] == [1, 8, 8]


def test_a_copy_is_kept_and_never_over_another(cli, finished, tmp_path):
    assert inspect(finished.directory.path, tmp_path / "kept").path == tmp_path / "kept" / "model.safetensors"
    (tmp_path / "kept" / "model.safetensors").write_bytes(b"mine")
    answer = cli("load", finished.directory.path, "--out", tmp_path / "kept")
    assert answer.code == 2
    assert "nothing is overwritten" in answer.err
    assert (tmp_path / "kept" / "model.safetensors").read_bytes() == b"mine"


def test_a_foreign_file_is_refused_before_anything_is_written(finished, tmp_path):
    save_file({}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="not of genkit"):
        inspect(tmp_path / "foreign.safetensors", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_the_command_writes_a_card_and_says_where(cli, finished, tmp_path):
    answer = cli("card", finished.directory.path, "--out", tmp_path / "c.md", "--license", "mit")
    assert answer.out == f"{tmp_path}/c.md\n"
    assert "license: mit\n" in (tmp_path / "c.md").read_text()
    (tmp_path / "c.md").write_text("mine")
    again = cli("card", finished.directory.path, "--out", tmp_path / "c.md")
    assert again.code == 2
    assert "c.md is there already" in again.err
