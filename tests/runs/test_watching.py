import json
import os
from dataclasses import replace

import pytest

from genkit.errors import ConfigError, RunError
from genkit.files import strict_json
from genkit.files.lock import locked
from genkit.record.directory import RunDirectory
from genkit.record.state import Word
from genkit.runs.watching import Watch


@pytest.fixture
def copied(trained, tmp_path):
    """`copied(**training)`: the directory of a run that has just begun, and the records of its three epochs."""

    def copy(**training):
        run = trained["vae-digits"]
        values = run.config.resolved()
        values["training"] |= training
        (tmp_path / "vae").mkdir(exist_ok=True)
        directory = RunDirectory(tmp_path / "vae")
        directory.config.write_text(json.dumps(values))  # which is YAML too
        return directory, run.history

    return copy


def test_epochs_are_seen_as_they_are_recorded(copied):
    directory, records = copied(epochs=3)
    with locked(directory.path):
        watch = Watch(directory)
        assert watch.look() == []
        assert watch.standing(0.0).state == "in its first epoch"
        assert watch.standing(0.0).name == "vae"
        for count, record in enumerate(records[:2], 1):
            directory.append_metrics(record)
            assert watch.look() == [record]
            assert watch.look() == []
            os.utime(directory.metrics, (0, 1000.0 * count))
            watch.changed = 1000.0 * count
        standing = watch.standing(2000.0)
        assert (standing.epochs, standing.history, standing.done, standing.state) == (3, tuple(records[:2]), 2.0, "")
        assert standing.scores == records[1].train
        assert watch.last_epoch(2000.0).done == 1
        later = watch.standing(2000.0 + records[1].seconds / 4)
        assert 2.0 < later.done < 3.0
        assert later.left < standing.left
        assert watch.standing(1e9).done == 2.99
        directory.append_metrics(records[2])
        watch.look()
        assert watch.standing(1e9).state == "figures and pictures"
        assert watch.state.word == Word.RUNNING
    assert watch.look() == []
    assert watch.standing(1e9).state == "interrupted"


def test_a_line_that_is_half_written_waits_for_its_end(copied):
    directory, records = copied()
    line = strict_json.dumps(records[0].to_json()) + "\n"
    watch = Watch(directory)
    directory.metrics.write_text(line[:50])
    assert watch.look() == []
    directory.metrics.write_text(line)
    assert watch.look() == [records[0]]


def _new_file(path):
    path.unlink()


def _same_file(path):
    path.write_text("")  # a new one may have the number of the one before, too


@pytest.mark.parametrize("emptied", [_new_file, _same_file])
def test_a_file_that_was_cut_or_written_anew_is_read_as_a_whole(copied, emptied):
    directory, records = copied()
    for record in records:
        directory.append_metrics(record)
    watch = Watch(directory)
    assert watch.look() == records
    assert directory.cut_history(1) == records[:1]
    assert watch.look() == records[:1]
    assert watch.history == records[:1]
    longer = [replace(records[0], seconds=9.0)] * 4
    emptied(directory.metrics)
    for record in longer:
        directory.append_metrics(record)
    assert watch.look() == longer == watch.history
    assert watch.look() == []
    assert watch.history == longer


def test_a_damaged_line_is_named(copied):
    directory, _ = copied()
    directory.metrics.write_text('{"epoch": 1}\n')
    with pytest.raises(RunError, match=r"metrics.jsonl: is damaged"):
        Watch(directory).look()


def test_the_epochs_of_a_run_in_steps_are_known_with_its_first_epoch(copied):
    directory, records = copied(epochs=None, steps=50)
    watch = Watch(directory)
    watch.look()
    assert watch.epochs is None
    directory.append_metrics(records[0])
    watch.look()
    assert records[0].steps == 20
    assert watch.epochs == 3


def test_more_epochs_of_a_resumed_run_are_seen(copied):
    directory, records = copied(epochs=3)
    directory.append_metrics(records[0])
    watch = Watch(directory)
    watch.look()
    assert watch.epochs == 3
    change = [{"epoch": 1, "step": 0, "overrides": ["training.epochs=7"]}]
    directory.changes.write_text(json.dumps(change))
    with locked(directory.path):
        watch.look()
        assert watch.epochs == 7


def test_a_watch_says_what_the_rules_say(copied):
    directory, records = copied()
    for epoch in range(1, 40):
        scores = replace(records[0].train, kl=0.001)
        directory.append_metrics(replace(records[0], epoch=epoch, steps=20 * epoch, train=scores, validation=None))
    watch = Watch(directory)
    watch.look()
    assert [note.rule for note in watch.notes()] == ["collapsed latents"]


def test_a_damaged_config_is_named(copied):
    directory, _ = copied()
    directory.config.write_text("training: [")
    with pytest.raises(ConfigError, match=r"vae/config.yaml"):
        Watch(directory).look()
