"""A run is run again, and is the same bit for bit, or what differs is named."""

import json
from importlib import metadata

import pytest

from genkit.errors import RunError
from genkit.files.tensors import read_tensors, write_tensors
from genkit.runs.reproduction import reproduce
from genkit.runs.running import resume, run

QUICK = ["training.epochs=2", "encoder.hidden=[8]", "decoder.hidden=[8]", "data.binarize=dynamic"]
pytestmark = pytest.mark.usefixtures("bare")


@pytest.fixture
def trained(digits, tmp_path):
    """A finished run."""
    return run(digits, QUICK, out=tmp_path / "run").directory


def test_a_run_is_the_same_again_and_nothing_stays(trained, tmp_path):
    result = reproduce(trained.path)
    assert (result.different, result.environment, result.epochs) == ([], [], 2)
    assert result.tensors == len(read_tensors(trained.model)[0])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_options_given_within_an_epoch_and_between_two_are_given_again(digits, tmp_path):
    first = run(digits, QUICK, out=tmp_path / "run", until=(1, 7))
    assert not first.directory.model.exists()
    resume(tmp_path / "run", overrides=["training.optimizer.lr=0.01"], until=(2, 0))
    resume(tmp_path / "run", overrides=["training.epochs=3", "loss.kl.weight=0.5"])
    places = [(each["epoch"], each["step"]) for each in json.loads((tmp_path / "run" / "changes.json").read_text())]
    assert places == [(1, 7), (2, 0)]
    result = reproduce(tmp_path / "run", tmp_path / "again")
    assert (result.different, result.epochs) == ([], 3)
    assert (tmp_path / "again" / "model.safetensors").is_file()


def test_options_given_before_the_first_step_are_those_of_the_start(digits, tmp_path):
    class Stops:
        def run_started(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(digits, QUICK, out=tmp_path / "run", listeners=[Stops()])
    resume(tmp_path / "run", overrides=["training.optimizer.lr=0.01"])
    assert reproduce(tmp_path / "run").different == []


def test_what_differs_is_named(trained):
    tensors, header = read_tensors(trained.model)
    name = min(tensors)
    tensors[name] = tensors[name] + 0.5
    write_tensors(trained.model, tensors, header)
    figures = json.loads(trained.evaluation.read_text())
    trained.evaluation.write_text(json.dumps({**figures, "elbo": -1.0}))
    environment = json.loads(trained.environment.read_text())
    environment["versions"]["torch"] = "1.0"
    trained.environment.write_text(json.dumps(environment))
    result = reproduce(trained.path)
    assert result.different[0] == f"model.safetensors, {name}: differs by up to 0.5"
    assert result.different[1] == f"evaluation.json, elbo: -1.0, now {figures['elbo']}"
    assert result.environment == [f"versions.torch: 1.0, now {metadata.version('torch')}"]


def test_a_run_that_is_not_finished_is_refused(digits, tmp_path):
    run(digits, QUICK, out=tmp_path / "run", until=(1, 0))
    with pytest.raises(RunError, match="is not finished, so there is nothing to compare with; genkit resume"):
        reproduce(tmp_path / "run")


def test_the_command_says_it_in_a_line(trained, cli):
    answer = cli("reproduce", trained.path)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("reproduced: 10 tensors, ")
    trained.evaluation.write_text("{}")
    answer = cli("reproduce", trained.path)
    assert answer.code == 1
    assert answer.out.splitlines()[0].startswith("not reproduced: of 10 tensors")
