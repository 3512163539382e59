"""genkit sample of conditional models, and what the other commands do with them."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from genkit.data.dataset import as_float
from genkit.files.tensors import read_tensors
from genkit.runs.running import resume, run
from genkit.sharing import weights

QUICK = ["training.epochs=3", "encoder.hidden=[16]", "decoder.hidden=[16]"]


def own_class(made, count):
    """The share of samples that a nearest-neighbour classifier of the data takes for the class that was asked for."""
    x, labels = made.data.train.x, made.data.train.labels
    nearest = KNeighborsClassifier(5).fit(as_float(x).flatten(1).numpy(), labels.numpy())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sampled = made.model.sample(count, noise=False, labels=torch.arange(count) % 10)
    return float((nearest.predict(sampled.flatten(1).numpy()) == np.arange(count) % 10).mean())


@pytest.mark.slow
@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(("name", "epochs"), [("vae-conditional", 30), ("gan-conditional", 60)])
def test_nine_in_ten_samples_are_of_the_class_that_is_asked_for(digits, tmp_path, name, epochs):
    options = [f"training.epochs={epochs}", "training.compile=false"]
    made = run(digits.with_name(f"{name}.yaml"), options, out=tmp_path / "run")
    assert own_class(made, 500) >= 0.9


@pytest.fixture(scope="module")
def conditional(digits, tmp_path_factory):
    return run(digits, [*QUICK, "condition=labels"], out=tmp_path_factory.mktemp("conditional") / "run")


def test_every_command_takes_a_conditional_model(cli, conditional, tmp_path):
    path = conditional.directory.path
    assert cli("sample", path, "-n", 20, "--given", "labels=7", "--out", tmp_path / "x.npy").code == 0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = conditional.model.sample(20, labels=7)
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected.numpy())
    assert cli("sample", path, "-n", 2, "--given", "labels=7,3", "--out", tmp_path / "two.npz").code == 0
    for command in ("encode", "reconstruct", "interpolate"):
        assert cli(command, path, "--out", tmp_path / f"{command}.npz").code == 0
    assert cli("evaluate", path, "--json").code == 0
    assert cli("describe", path).code == 0
    assert cli("card", path, "--out", tmp_path / "card.md").code == 0
    z = np.load(tmp_path / "encode.npz")["z"]
    test = conditional.data.test
    order = conditional.data.rows_of("test").argsort()
    np.testing.assert_array_equal(z, conditional.model.encode(test)[order].numpy())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--given", "labels=eleven"],
            "--given: labels: there is no class 'eleven'; the model knows 0, 1, 2, 3, 4, 5, 6",
        ),
        (["--given", "labels=11"], "--given: labels: there is no class 11; they go from 0 to 9"),
        (
            ["--given", "colour=1"],
            "--given: the model is not conditioned on 'colour', which would change nothing; it takes labels",
        ),
        (["--given", "labels"], "--given labels: must be NAME=VALUE, such as labels=7"),
        (["--given", "labels=1", "--given", "labels=2"], "--given labels: is there twice; for a value per datum write"),
        (["--given", "labels=1,2"], "--given: labels: takes one value for all data, or one for each of the 9"),
    ],
)
def test_what_the_model_cannot_be_told_is_one_message(cli, conditional, tmp_path, words, message):
    answer = cli("sample", conditional.directory.path, "-n", 9, *words, "--out", tmp_path / "x.npy")
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert not (tmp_path / "x.npy").exists()


def test_a_model_without_a_condition_is_told_nothing(cli, trained, tmp_path):
    path = trained["vae-digits"].directory.path
    answer = cli("sample", path, "--given", "labels=7", "--out", tmp_path / "x.npy")
    assert answer.code == 2
    assert (
        "not conditioned on 'labels', which would change nothing; it takes nothing: train one with cond" in answer.err
    )


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", ["vae-conditional", "gan-conditional"])
def test_a_conditional_run_goes_on_within_an_epoch_bit_for_bit(digits, tmp_path, name):
    small = ["training.epochs=2", "decoder.hidden=[8]", "training.batch_size=300"]
    small += ["encoder.hidden=[8]"] if name.startswith("vae") else ["loss.adversarial.critic.hidden=[8]"]
    config = digits.with_name(f"{name}.yaml")
    whole = run(config, small, out=tmp_path / "whole")
    run(config, small, out=tmp_path / "cut", until=(1, 2))
    resume(tmp_path / "cut")
    tensors = [read_tensors(each / "model.safetensors")[0] for each in (tmp_path / "whole", tmp_path / "cut")]
    assert all(torch.equal(value, tensors[1][key]) for key, value in tensors[0].items())
    assert weights.load(tmp_path / "cut").sample(10).shape == whole.model.sample(10).shape


@pytest.mark.slow
def test_an_exported_conditional_model_takes_the_condition_too(cli, conditional, tmp_path):
    for form, name in (("onnx", "all.onnx"), ("torch-export", "all.pt2")):
        answer = cli("export", conditional.directory.path, "--format", form, "--out", tmp_path / name)
        assert answer.code == 0, answer.err
        assert "x, labels -> z, reconstruction" in answer.out + answer.err


def test_old_model_files_without_side_data_still_load(trained, tmp_path, altered):
    def older(header):
        del header["data"]["side"]

    model = trained["vae-digits"].model
    path = altered(tmp_path / "old.safetensors", trained["vae-digits"].directory.model, older)
    assert torch.equal(weights.load(path).decode(torch.zeros(1, 2)), model.decode(torch.zeros(1, 2)))
