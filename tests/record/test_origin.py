"""Where a run came from, and what changed from there."""

import json

import pytest

from genkit.errors import ConfigError
from genkit.record.directory import RunDirectory
from genkit.record.origin import Origin, changes_among, config_of, directory_name, origin_of
from genkit.settings import yaml
from genkit.settings.differences import Difference

START = {
    "name": "it",
    "seed": 0,
    "data": {"name": "digits"},
    "encoder": {"name": "mlp", "hidden": [8]},
    "sampler": {"name": "gaussian", "latent": 2},
    "loss": [{"name": "kl", "weight": 1.0}],
    "training": {"epochs": 5},
}
LATENT = Difference("sampler.latent", 2, 8)


@pytest.fixture
def made_of(tmp_path):
    """The directory of a run with these values, which recorded these changes; None: it recorded nothing."""

    def write(values, changes=None, later=()):
        path = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        path.mkdir()
        directory = RunDirectory(path)
        directory.config.write_text(yaml.write({**START, **values}))
        if changes is not None:
            directory.local.write_text(json.dumps({"origin": Origin("it.yaml", (), tuple(changes)).to_json()}))
        if later:
            directory.changes.write_text(json.dumps([{"epoch": 1, "step": 0, "overrides": list(later)}]))
        return directory

    return write


def changed(*directories):
    return [{each.path: each.after for each in one} for one in changes_among(list(map(config_of, directories)))]


def test_an_origin_is_read_as_it_was_written(made_of):
    directory = made_of({}, [LATENT])
    assert origin_of(directory) == Origin("it.yaml", (), (LATENT,))
    for damage in ("[", "[]", '{"origin": 3}', '{"origin": {"config": 1, "overrides": 2, "changes": 3}}'):
        directory.local.write_text(damage)
        assert origin_of(directory) is None


def test_what_changed_is_what_was_asked_for_when_it_was_started_and_when_it_was_resumed(made_of):
    wide = {"sampler": {"name": "gaussian", "latent": 8}}
    directory = made_of(wide, [LATENT], ["training.epochs=9", "sampler.latent=16"])
    (changes,) = changes_among([config_of(directory)])
    assert changes == [Difference("sampler.latent", 2, 16), Difference("training.epochs", 5, 9)]


def test_runs_of_a_file_that_was_edited_are_told_apart_by_what_was_edited(made_of):
    wide = {"sampler": {"name": "gaussian", "latent": 8}}
    first, second = made_of({"seed": 1}, [Difference("seed", 0, 1)]), made_of(wide, [])
    assert changed(first, second) == [{"seed": 1, "sampler.latent": 2}, {"sampler.latent": 8}]
    assert changed(first, made_of({}, [])) == [{"seed": 1}, {}]


def test_runs_without_a_record_are_told_apart_by_all_that_differs(made_of):
    assert changed(made_of({"seed": 1})) == [{}]
    assert changed(made_of({"seed": 1}), made_of({"seed": 2})) == [{"seed": 1}, {"seed": 2}]


def test_the_options_of_a_part_that_changed_are_named_where_they_tell_runs_apart(made_of):
    part = Difference("encoder", "mlp", "cnn")
    cnns = [made_of({"encoder": {"name": "cnn", "width": width}}, [part]) for width in (4, 8)]
    assert changed(made_of({}, []), *cnns) == [
        {},
        {"encoder": "cnn", "encoder.width": 4},
        {"encoder": "cnn", "encoder.width": 8},
    ]
    assert changed(made_of({}, []), cnns[0]) == [{}, {"encoder": "cnn"}]


def test_damaged_options_of_a_resumed_run_are_an_error_that_names_the_file(made_of):
    directory = made_of({}, [])
    directory.changes.write_text("{")
    with pytest.raises(ConfigError, match=r"changes\.json: is damaged"):
        config_of(directory)


def test_a_directory_is_called_by_what_changed_with_the_seed_last_and_without_its_length():
    changes = [
        Difference("seed", 0, 1),
        LATENT,
        Difference("training.epochs", 5, 9),
        Difference("metrics", [], ["nll"]),
    ]
    assert directory_name("it", START, changes) == "it-latent8-seed1"
    assert directory_name("it", START, []) == "it"


def test_a_name_stays_short():
    long = [Difference(f"data.option{number}", "", "x" * 30) for number in range(9)]
    name = directory_name("it", START, [*long, LATENT])
    assert name == f"it-{'option0-' + 'x' * 16}-{'option1-' + 'x' * 16}-latent8"
