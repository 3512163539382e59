"""Folders of runs, read without a model."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genkit.errors import RunError
from genkit.files.lock import locked
from genkit.record.overview import TAIL, overviews


@pytest.fixture
def folder(trained, tmp_path):
    """A folder of three finished runs, one of them in a folder below it."""
    for name, run in trained.items():
        shutil.copytree(run.directory.path, tmp_path / ("below" if name == "gan" else ".") / name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").write_text("no run")
    return tmp_path


def test_runs_are_there_with_what_changed_and_their_figures(folder, trained):
    by_name = {each.path.name: each for each in overviews(folder)}
    assert by_name.keys() == trained.keys()
    vae, gan = by_name["vae-digits"], by_name["gan"]
    assert gan.path == folder / "below" / "gan"
    assert [each.word for each in (vae, gan)] == ["finished", "finished"]
    assert (vae.split, vae.figures["elbo"]) == ("test", trained["vae-digits"].evaluation.elbo)
    assert vae.epochs == 3
    assert {change.path: change.after for change in vae.changes} == {
        "encoder.hidden": [16],
        "decoder.hidden": [16],
        "training.epochs": 3,
    }
    assert vae.labels["training.epochs"] == "epochs"
    assert "elbo" not in gan.figures
    assert gan.loss == trained["gan"].history[-1].validation.loss
    json.dumps([each.to_json() for each in by_name.values()], allow_nan=False)


def test_a_run_that_goes_on_has_the_figures_of_its_last_epoch(folder, trained):
    path = folder / "vae-digits"
    for name in ("model.safetensors", "stages.json", "evaluation.json"):
        (path / name).unlink()
    with (path / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 4, "tr')  # being written
    with locked(path):
        (each,) = overviews(path)
    last = trained["vae-digits"].history[-1].validation
    assert (each.word, each.epochs, each.split) == ("running", 3, "validation")
    assert (each.figures["elbo"], each.loss) == (last.elbo, last.loss)


def test_of_a_long_history_only_the_end_is_read(folder):
    path = folder / "vae-digits" / "metrics.jsonl"
    path.write_text("x" * TAIL + "\n" + path.read_text())
    assert {each.path.name: each.epochs for each in overviews(folder)}["vae-digits"] == 3


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("config.yaml", "name: [", "config.yaml:"),
        ("config.yaml", "- 1", "config.yaml: a config is a mapping"),
        ("config.yaml", None, "config.yaml: there is no such file"),
        ("config.yaml", "&a [*a]", "config.yaml"),
        ("metrics.jsonl", "\0\n[]\n3\n", "metrics.jsonl: is damaged"),
        ("evaluation.json", "[1]", "evaluation.json: is damaged"),
        ("evaluation.json", "[" * 100_000, "evaluation.json: is damaged"),
        ("changes.json", "{", "changes.json: is damaged"),
        ("config.yaml", "name: 3\nloss: 4\ntraining: []", ""),
        ("local.json", "\0", ""),
        ("stages.json", "\0", ""),
    ],
)
def test_a_damaged_run_says_so_and_hides_no_other(folder, name, damage, problem):
    path = folder / "vae-digits" / name
    path.unlink(missing_ok=True)
    if damage is not None:
        path.write_text(damage)
    by_name = {each.path.name: each for each in overviews(folder)}
    assert problem in by_name["vae-digits"].problem
    assert (by_name["vae-digits"].state is None) == bool(problem)
    assert by_name["gan"].word == "finished"


def test_figures_that_are_no_numbers_are_left_out(folder):
    path = folder / "vae-digits" / "evaluation.json"
    values = {"elbo": float("nan"), "kl": "<b>", "metrics": {"nll": {"nll": 3.0}, "probe": {"accuracy": 0.5, "x": []}}}
    path.write_text(json.dumps(values))
    (each,) = overviews(folder / "vae-digits")
    assert each.figures == {"nll": 3.0, "probe.accuracy": 0.5}


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    assert overviews(tmp_path) == []
    with pytest.raises(RunError, match="there is no such folder"):
        overviews(tmp_path / "runs")


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_links_in_circles_are_followed_once(folder):
    (folder / "circle").symlink_to(folder)
    assert len(overviews(folder)) == 3


def test_looking_at_runs_needs_no_torch():
    code = "import sys, genkit.record.overview as o; o.overviews(o.Path('.')); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    assert done.stdout == "False\n"
