"""Files that commands write: whole, and never in the place of a file of a run."""

import pytest

import genkit
from genkit.errors import RunError
from genkit.record.directory import RunDirectory
from genkit.record.outputs import output_file


@pytest.fixture
def folder(tmp_path):
    """The folder of a run that has begun."""
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    return tmp_path


def test_a_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "deep" / "x.csv"
    with genkit.output_file(str(path)) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".csv"
        assert not path.exists()
    assert path.read_text() == "new"


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("old")
    output = output_file(path)
    output.__enter__().write_text("new")
    error = ZeroDivisionError()
    assert not output.__exit__(type(error), error, None)
    assert [each.name for each in tmp_path.iterdir()] == ["x.csv"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", ["model.safetensors", "config.yaml", "stages.json", ".lock", "init.json", "code"])
def test_no_file_of_a_run_is_replaced_not_even_one_that_is_still_to_come(folder, name):
    with pytest.raises(RunError, match="is a file of that run, and would be lost; choose another name"):
        output_file(folder / name).__enter__()
    with output_file(folder / "mine.csv") as temporary:
        temporary.write_text("mine")
    assert {each.name for each in folder.iterdir()} == {"config.yaml", "mine.csv"}


def test_every_file_that_a_run_leaves_is_its_own(finished):
    left = {each.name for each in finished.directory.path.iterdir()}
    of_listeners = {"projector", "projector_config.pbtxt", "report.html"}
    others = left - RunDirectory(finished.directory.path).names() - of_listeners
    assert [name for name in others if not name.startswith("events.")] == []


def test_a_link_to_a_file_of_a_run_is_refused(folder, tmp_path):
    link = tmp_path / "link.safetensors"
    link.symlink_to(folder / "model.safetensors")
    with pytest.raises(RunError, match=r"link\.safetensors: is a file of that run"):
        output_file(link).__enter__()


@pytest.mark.parametrize("command", [["schema"], ["plugins", "reference"]])
def test_commands_refuse_files_of_runs(cli, folder, command):
    answer = cli(*command, "--out", folder / "config.yaml")
    assert answer.code == 2
    assert "config.yaml: is a file of that run" in answer.err
    assert (folder / "config.yaml").read_text() == "seed: 0\n"
