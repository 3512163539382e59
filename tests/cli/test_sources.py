import json

import pytest

from genkit.examples import folder


@pytest.fixture
def here(tmp_path, monkeypatch, trained):
    """A working directory with a finished run in runs/: vae-digits."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "vae-digits").symlink_to(trained["vae-digits"].directory.path, target_is_directory=True)
    return tmp_path


def test_an_example_is_checked_by_its_name_and_named(cli, here):
    small = ["encoder.hidden=[4]", "decoder.hidden=[4]"]
    answer = cli("check", "vae-digits", *small, "--no-probe")
    assert answer.code == 0, answer
    assert answer.err.startswith("config: the example vae-digits of genkit\n")
    (here / "vae-digits.yaml").write_text((folder() / "vae-digits.yaml").read_text().replace("seed: 0", "seeed: 0"))
    answer = cli("check", "vae-digits", "--no-probe")
    assert answer.err.startswith("config: vae-digits.yaml\nerror: vae-digits.yaml:4:1: unknown key 'seeed'")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("vae-digit", "vae-digit: there is no such file; did you mean 'vae-digits'?"),
        ("examples/wae.yaml", "examples/wae.yaml: there is no such file; 'wae' alone is the example of that name"),
        ("xyz.yaml", "xyz.yaml: there is no such file\n"),
    ],
)
def test_a_config_that_is_not_there_is_answered_with_the_nearest(cli, here, word, hint):
    answer = cli("check", word)
    assert answer.code == 2
    assert hint in answer.err


@pytest.mark.parametrize("word", ["vae-digits", "last"])
def test_runs_are_taken_by_their_names(cli, here, word):
    answer = cli("describe", word, "--json")
    assert answer.err == "run: runs/vae-digits\n"
    assert json.loads(answer.out)[0]["shape"] == [1, 8, 8]
    answer = cli("encode", word, "--out", here / "z.npz")
    assert (answer.code, answer.err) == (0, "run: runs/vae-digits\n")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["sample", "vae-digit"], "vae-digit: there is no such run; did you mean 'vae-digits'?"),
        (["evaluate", folder() / "vae-digits.yaml"], "is a config, and no run; its latest run is runs/vae-digits"),
        (["evaluate", "gan"], "gan: is a config, and no run; it has none in runs/: `genkit run gan` makes one"),
        (["resume", "last-one"], "last-one: there is no such run in runs/; the latest are vae-digits"),
        (["reproduce", "vae-digist"], "did you mean 'vae-digits'?"),
        (["compare", "vae-digits", "vae-digist"], "did you mean 'vae-digits'?"),
        (["describe", "xyz"], "xyz: there is no such run in runs/; the latest are vae-digits"),
    ],
)
def test_what_is_no_run_is_answered(cli, here, command, message):
    answer = cli(*command)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_describe_takes_an_example_where_no_run_has_its_name(cli, here):
    answer = cli("describe", "wae", "--json")
    assert answer.err == "config: the example wae of genkit\n"


def test_samples_go_to_a_new_file_where_none_is_named(cli, here):
    for name in ("samples.png", "samples-2.png"):
        answer = cli("sample", "last", "-n", 4)
        assert answer.out == f"{name}\n"
        assert (here / name).is_file()


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (["0", "7"], "from datum {0} to datum {7} of the test split, for 0 and 7"),
        (["12", "300"], "from datum 12 to datum 300 of the test split, for 12 and 300"),
    ],
)
def test_interpolate_takes_classes_and_numbers(cli, here, trained, ends, said):
    labels = trained["vae-digits"].data.test.labels.tolist()
    answer = cli("interpolate", "last", *ends)
    assert answer.out == "interpolation.png\n"
    expected = said.replace("{0}", str(labels.index(0))).replace("{7}", str(labels.index(7)))
    assert answer.err.splitlines() == ["run: runs/vae-digits", expected]


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (["3"], "3: a path has two ends; name both, such as `genkit interpolate runs/vae-digits 0 7`"),
        (["0", "cat"], "the test split: there is no class 'cat'; there are 0, 1, 2"),
        (["20", "400"], "the test split has the data 0 to 358, not 400"),
        (["1", "2", "3"], "a path has two ends"),
    ],
)
def test_interpolate_refuses_other_ends(cli, here, ends, message):
    answer = cli("interpolate", "last", *ends)
    assert answer.code == 2
    assert message in answer.err
