"""The table of runs."""

import json
import shutil
import time
from pathlib import Path

import pytest

from genkit.cli.commands.runs import show
from genkit.record.overview import Overview
from genkit.record.state import State, Word
from genkit.settings.differences import Difference

HOSTILE = "<img src=x onerror=alert(1)>[red]\x1b[31m'\""


def overview(name, latent=2, elbo=-30.0, **more):
    values = {
        "state": State(Word.FINISHED),
        "started": time.time() - 7300,
        "split": "test",
        "figures": {"elbo": elbo, "active_units": 2, "nll": 29.5},
        "changes": (Difference("sampler.latent", 1, latent),),
        "labels": {"sampler.latent": "latent"},
        **more,
    }
    return Overview(Path("runs", name), "vae", **values)


@pytest.fixture
def folder(trained, tmp_path):
    for name, run in trained.items():
        shutil.copytree(run.directory.path, tmp_path / name)
    return tmp_path


def test_a_table_says_what_each_run_is(cli, folder):
    code, out, _ = cli("runs", folder)
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert lines["run"].split()[:4] == ["run", "changed", "age", "state"]
    assert "finished" in lines["vae-digits"]
    assert "encoder.hidden=[16]" in out
    assert "loss " in lines["gan"]
    assert lines["*"] == "* of the last epoch, on validation data if any; else of the test split"


def test_the_json_has_all_of_it(cli, folder, trained):
    values = {Path(each["path"]).name: each for each in json.loads(cli("runs", folder, "--json").out)}
    assert values["vae-digits"]["figures"]["elbo"] == trained["vae-digits"].evaluation.elbo
    assert values["vae-digits"]["changes"]["training.epochs"] == 3
    assert values["gan"]["loss"] == trained["gan"].history[-1].validation.loss


def order(cli, folder, key):
    return [Path(each["path"]).name for each in json.loads(cli("runs", folder, "--json", "--sort", key).out)]


def test_runs_are_sorted_by_any_figure_and_any_option_that_changed(cli, folder, trained):
    assert order(cli, folder, "name") == sorted(trained)
    assert order(cli, folder, "-name") == sorted(trained, reverse=True)
    assert order(cli, folder, "elbo")[0] == "vae-digits", "the others have none"
    assert order(cli, folder, "-elbo")[0] == "vae-digits"
    assert order(cli, folder, "encoder.hidden")[-1] == "gan"
    assert order(cli, folder, "loss") == sorted(trained, key=lambda name: trained[name].history[-1].validation.loss)


def test_a_key_that_is_none_is_answered_by_the_nearest(cli, folder):
    code, _, err = cli("runs", folder, "--sort", "epoch")
    assert (code, err) == (
        2,
        "error: --sort epoch: the runs have no such figure, and no such option that changed; did you mean 'epochs'?\n",
    )


def test_an_empty_folder_and_none_are_told_apart(cli, tmp_path):
    assert cli("runs", tmp_path) == (0, f"{tmp_path}: there are no runs\n", "")
    assert cli("runs", tmp_path / "no").err.startswith("error: ")


@pytest.mark.parametrize("width", [60, 79, 100, 130])
def test_the_table_fits_and_details_go_first(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    long = overview("vae-digits-latent16-kl.weight0.25-seed3", 16, -1234.5678)
    failed = overview(HOSTILE, state=State(Word.FAILED), problem=HOSTILE, split="validation", figures={"elbo": -1.0})
    show([overview("vae"), long, failed, overview("a", state=None, started=None, figures={})], Path("runs"))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= min(width, 79)
    assert "\x1b" not in out
    assert "[red]" in out.replace("\n", "") or width == 60, "it is text, and folded where it is long"
    head = out.splitlines()[0].split()
    assert {"run", "changed", "state", "ELBO"} <= {*head}
    assert ("age" in head) == (width >= 79)
    assert "damaged" in out
    assert "-1,234.57" in out
    assert "-1.00*" in out


def test_figures_of_metrics_are_shown_where_there_is_room(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "79")
    show([overview("vae"), overview("b", 8, own_units="rank")], Path("runs"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "changed", "age", "state", "ELBO", "nll", "active_units"]
    assert lines[1].split() == ["vae", "latent=2", "2", "h", "finished", "-30.00", "29.5", "2"]
    assert "-30.00†" in lines[2]
    assert lines[3] == "† in the units of rank, which has no log|det J|: it ranks no models"
