"""The data of a command: the test split of the training's own data, and all of a new file."""

import csv
import shutil

import numpy as np
import pytest
import torch

from genkit.runs.new_data import own_data, reopen_split
from tests.models import PARTS

SMALL = {**PARTS, "name": "small", "training": {"epochs": 1, "compile": False}}


def write(path, count, seed=0, **more):
    rng = np.random.default_rng(seed)
    np.savez(path, x=rng.random((count, 3), np.float32), labels=rng.integers(0, 2, count), **more)
    return path


@pytest.fixture(scope="module")
def directory(bare_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    data = {"name": "arrays", "path": str(write(folder / "x.npz", 40)), "test": 0.25}
    return bare_run({**SMALL, "data": data}, out=folder / "run").directory.path


def test_a_runs_own_data_give_their_test_split(directory):
    _, data, split, are_new = reopen_split(directory)
    assert (split, are_new, len(data.split(split).x)) == ("test", False, 10)
    assert reopen_split(directory, split="train").split == "train"


def test_a_new_file_is_taken_whole_in_its_order(directory, tmp_path):
    path = write(tmp_path / "new.npz", 5, seed=1)
    model, data, split, are_new = reopen_split(directory, [f"data.path={path}"])
    assert (split, are_new) == ("all", True)
    assert torch.equal(data.split(split).x, torch.from_numpy(np.load(path)["x"]))
    assert data.rows_of(split).tolist() == list(range(5))
    assert own_data(directory, reopen_split(directory, [f"data.path={path}"])).counts()["test"] == 10
    assert model.shape == (3,)


def test_the_same_data_elsewhere_are_no_new_data(directory, tmp_path):
    moved = shutil.copy(directory.parent / "x.npz", tmp_path / "moved.npz")
    reopened = reopen_split(directory, [f"data.path={moved}"])
    assert (reopened.split, reopened.are_new, len(reopened.data.split("test").x)) == ("test", False, 10)
    assert own_data(directory, reopened) is reopened.data


@pytest.mark.parametrize("option", ["data.test=0.5", "data.validation=2", "data.split_seed=1", "data.keep=[0]"])
def test_who_says_how_to_split_a_new_file_gets_its_test_split(directory, tmp_path, option):
    path = write(tmp_path / "new.npz", 20, seed=1)
    _, _, split, are_new = reopen_split(directory, [f"data.path={path}", option])
    assert (split, are_new) == ("test", False)


def test_options_that_name_no_file_give_the_test_split(directory):
    assert reopen_split(directory, ["data.range=[0, 2]"])[2:] == ("test", False)


def test_another_source_is_new_data(directory, tmp_path):
    path = write(tmp_path / "new.npz", 6, seed=1)
    assert reopen_split(directory, [f"data={{name: arrays, path: '{path}'}}"])[2:] == ("all", True)


def test_a_new_file_needs_no_labels_though_some_classes_were_kept(bare_run, tmp_path):
    data = {"name": "arrays", "path": str(write(tmp_path / "x.npz", 40)), "keep": [1], "test": 12}
    directory = bare_run({**SMALL, "data": data}, out=tmp_path / "run").directory.path
    np.savez(tmp_path / "new.npz", x=np.zeros((2, 3), np.float32))
    _, data, split, _ = reopen_split(directory, [f"data.path={tmp_path / 'new.npz'}"])
    assert data.split(split).x.shape == (2, 3)


def test_labels_of_new_data_are_those_of_the_model(bare_run, tmp_path):
    x = np.random.default_rng(0).random((30, 3), np.float32)
    np.savez(tmp_path / "x.npz", x=x, labels=np.array(["a", "b", "c"] * 10))
    values = {**SMALL, "data": {"name": "arrays", "path": str(tmp_path / "x.npz")}, "condition": "labels"}
    directory = bare_run(values, out=tmp_path / "run").directory.path
    np.savez(tmp_path / "new.npz", x=x[:3], labels=np.array(["c", "b", "c"]))
    _, data, split, _ = reopen_split(directory, [f"data.path={tmp_path / 'new.npz'}"])
    assert data.split(split).labels.tolist() == [2, 1, 2]
    assert data.classes == ("a", "b", "c")


def test_classes_that_a_conditional_model_does_not_know_are_refused(bare_run, tmp_path, cli):
    x = np.random.default_rng(0).random((30, 3), np.float32)
    np.savez(tmp_path / "x.npz", x=x, labels=np.array(["a", "b", "c"] * 10))
    values = {**SMALL, "data": {"name": "arrays", "path": str(tmp_path / "x.npz")}, "condition": "labels"}
    directory = bare_run(values, out=tmp_path / "run").directory.path
    np.savez(tmp_path / "new.npz", x=x[:3], labels=np.array(["c", "d", "c"]))
    answer = cli("encode", directory, f"data.path={tmp_path / 'new.npz'}", "--out", tmp_path / "z.csv")
    assert answer.code == 2
    assert "was trained on the classes a, b, c; leave d out of the data" in " ".join(answer.err.split())


@pytest.mark.parametrize("command", ["encode", "reconstruct", "score"])
def test_commands_take_all_of_a_new_file_and_say_so(directory, tmp_path, cli, command):
    path, out = write(tmp_path / "new.npz", 7, seed=1), tmp_path / "out.csv"
    answer = cli(command, directory, f"data.path={path}", "--out", out)
    assert (answer.code, answer.err) == (
        0,
        "other data than those of the training: all 7 of them are taken; --split chooses some\n",
    )
    with out.open(newline="") as stream:
        assert [row["row"] for row in csv.DictReader(stream)] == list("0123456")


def test_evaluate_measures_all_of_a_new_file_without_probes_fitted_to_it(directory, tmp_path, cli):
    path = write(tmp_path / "new.npz", 30, seed=1)
    answer = cli("evaluate", directory, f"data.path={path}")
    assert answer.code == 0
    assert "count                          30" in answer.out
    assert "metrics.probe" not in answer.out
    assert "metrics.probe" in cli("evaluate", directory).out
