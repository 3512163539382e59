import os

import pytest

from genkit.errors import RunError
from genkit.record.run_names import names, run_path, runs_of


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three runs in runs/, of which `vae-digits-2` was started last, and a folder that is none."""
    monkeypatch.chdir(tmp_path)
    for age, (folder, name) in enumerate(
        {"vae-digits-2": "vae-digits", "vae-digits": "vae-digits", "gan": "gan"}.items()
    ):
        directory = tmp_path / "runs" / folder
        directory.mkdir(parents=True)
        (directory / "config.yaml").write_text(f"name: {name}\nseed: 0\n")
        (directory / "local.json").write_text("{}")
        os.utime(directory / "config.yaml", (1e9 - age, 1e9 - age))
    (tmp_path / "runs" / "other").mkdir()
    return tmp_path / "runs"


def test_a_run_is_named_by_its_name_or_as_the_last_one(runs):
    assert str(run_path("gan")) == "runs/gan"
    assert str(run_path("last")) == "runs/vae-digits-2"
    assert names() == ["vae-digits-2", "vae-digits", "gan"]
    assert [path.name for path in runs_of("vae-digits")] == ["vae-digits-2", "vae-digits"]
    assert runs_of("vae") == []


def test_a_path_goes_before_a_name(runs):
    for name in ("gan", "last"):
        (runs.parent / name).mkdir()
        assert str(run_path(name)) == name
    assert str(run_path("runs/gan")) == "runs/gan"
    assert run_path(runs / "gan") == runs / "gan"
    assert run_path("hf://ada/none") == run_path("hf:/ada/none")


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("vae-digit", "vae-digit: there is no such run; did you mean 'vae-digits'?"),
        ("runs/gann", "runs/gann: there is no such run; did you mean 'runs/gan'?"),
        ("nothing", "nothing: there is no such run in runs/; the latest are vae-digits-2, vae-digits, gan"),
        ("other", "other: there is no such run in runs/; the latest are vae-digits-2, vae-digits, gan"),
        ("wae", "wae: is a config, and no run; it has none in runs/: `genkit run wae` makes one"),
        ("waee", "waee: there is no such run in runs/; did you mean the example 'wae'?"),
        ("vae-digits.yaml", "vae-digits.yaml: is a config, and no run; its latest run is runs/vae-digits-2"),
        ("mine.yaml", "mine.yaml: is a config, and no run; it has none in runs/: `genkit run mine.yaml` makes one"),
        ("runs/gan/config.yaml", "runs/gan/config.yaml: is the config of a run; the run is runs/gan"),
        ("\x1b[2J", r"\x1b[2J: there is no such run in runs/; the latest are vae-digits-2, vae-digits, gan"),
    ],
)
def test_what_is_no_run_is_answered(runs, typed, answer):
    (runs.parent / "vae-digits.yaml").write_text("# a comment\nname: 'vae-digits'\n")
    (runs.parent / "mine.yaml").write_bytes(b"\xff")
    with pytest.raises(RunError) as refused:
        run_path(typed)
    assert str(refused.value) == answer


@pytest.mark.parametrize("word", ["last", "vae-digits-3"])
def test_where_no_run_is_the_answer_says_how_to_make_one(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"genkit run|the example 'vae-digits'"):
        run_path(word)


def test_other_paths_stay_as_they_are(runs):
    for path in ("none/such", "model.safetensors", str(runs / "nothing-like-it")):
        assert str(run_path(path)) == path
