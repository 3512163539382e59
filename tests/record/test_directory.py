import json
import os
from pathlib import Path

import pytest

from genkit.errors import RunError
from genkit.record.directory import RunDirectory
from genkit.runs.opening import as_config, config_of, create_directory


def test_new_runs_get_new_names(tmp_path, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    config = as_config(digits)
    paths = [create_directory(config).path for _ in range(3)]
    assert paths == [Path("runs/vae-digits"), Path("runs/vae-digits-2"), Path("runs/vae-digits-3")]


def test_out_may_be_empty_but_not_full(tmp_path, digits):
    (tmp_path / "empty").mkdir()
    assert create_directory(as_config(digits), tmp_path / "empty").config.is_file()
    before = (tmp_path / "empty" / "config.yaml").read_text()
    with pytest.raises(RunError, match="never overwrites"):
        create_directory(as_config(digits, ["seed=5"]), tmp_path / "empty")
    assert (tmp_path / "empty" / "config.yaml").read_text() == before


def test_an_unwritable_place_is_named_with_a_remedy(tmp_path, digits):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(RunError, match=r"cannot make the run directory .*file/run.*choose .*--out"):
        create_directory(as_config(digits), tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_name_that_is_no_utf_8_is_refused(tmp_path, digits):
    with pytest.raises(RunError, match=r"--out .*caf\\udce9: is no UTF-8, as names of files have to be"):
        create_directory(as_config(digits), tmp_path / os.fsdecode(b"caf\xe9"))
    assert not list(tmp_path.iterdir())


def test_the_config_in_the_directory_is_the_whole_config(tmp_path, digits):
    config = as_config(digits, ["loss.kl.weight={from: 0, to: 1, epochs: 5}", "training.clip_norm=1"])
    assert config_of(create_directory(config, tmp_path / "run")) == config


def test_metrics_are_cut_to_the_epochs_that_count(tmp_path, finished):
    directory = RunDirectory(tmp_path)
    for record in finished.history:
        directory.append_metrics(record)
    with directory.metrics.open("a") as stream:
        stream.write('{"epoch": 4, "cut sh')
    assert directory.cut_history(epochs=2) == finished.history[:2]
    assert len(directory.metrics.read_text().splitlines()) == 2


def filled(path, records):
    directory = RunDirectory(path)
    for record in records:
        directory.append_metrics(record)
    return directory


def test_the_history_is_what_was_appended_and_reading_it_changes_nothing(tmp_path, finished):
    directory = filled(tmp_path, finished.history)
    before = directory.metrics.read_bytes()
    assert directory.history() == finished.history == finished.directory.history()
    assert len(directory.history()) == 3
    assert directory.metrics.read_bytes() == before


def test_without_metrics_there_is_no_history_and_no_file_is_made(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    assert directory.history() == directory.cut_history(3) == []
    assert not directory.path.exists()


DAMAGED = ['{"epoch": 4, "cut sh', "{}", "3", '{"epoch": 4, "validation": {"loss": 1}}', "", "[]", "null", "NaN"]
DAMAGED += ["[" * 100_000, "1" * 5_000, '{"epoch": "x"}', '{"epoch": 1e999}', '"' + "\\u001b" * 9]


@pytest.mark.parametrize("line", DAMAGED)
def test_damaged_metrics_are_named_with_a_remedy(tmp_path, finished, line):
    directory = filled(tmp_path, finished.history)
    with directory.metrics.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl: is damaged.*the run can.* be read") as caught:
        directory.history()
    assert "\n" not in str(caught.value)
    directory.metrics.unlink()
    assert directory.history() == []


def test_a_history_can_be_cut_to_nothing_or_not_at_all(tmp_path, finished):
    directory = filled(tmp_path, finished.history)
    before = directory.metrics.read_bytes()
    assert directory.cut_history(epochs=3) == finished.history
    assert directory.metrics.read_bytes() == before
    assert directory.cut_history(epochs=0) == []
    assert directory.metrics.read_bytes() == b""
    assert directory.history() == []


def test_metrics_that_are_no_text_are_damaged(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b"\x91\xff\n")
    with pytest.raises(RunError, match="damaged"):
        RunDirectory(tmp_path).history()


@pytest.mark.parametrize(
    ("key", "value"),
    [("epoch", "x"), ("epoch", None), ("seconds", [1]), ("weights", 3), ("train", {}), ("train", 3), ("more", 1)],
)
def test_metrics_with_values_of_other_types_are_damaged(tmp_path, finished, key, value):
    directory = filled(tmp_path, [])
    directory.metrics.write_text(json.dumps({**finished.history[0].to_json(), key: value}) + "\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl: is damaged"):
        directory.history()


def test_a_run_that_was_killed_as_it_began_is_begun_anew(tmp_path, digits):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "local.json").write_text("{}")
    assert create_directory(as_config(digits), tmp_path / "run").config.is_file()


@pytest.mark.parametrize("epoch", ["1e999", "null", "[]", '"a"'])
def test_an_odd_epoch_after_which_training_was_ended_is_named(tmp_path, digits, epoch):
    directory = create_directory(as_config(digits), tmp_path / "run")
    directory.stopped.write_text(f'{{"epoch": {epoch}}}')
    with pytest.raises(RunError, match=r"stopped\.json: is damaged"):
        directory.stopped_after()
