import contextlib
import json
import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from genkit import interfaces, scaffold
from genkit.errors import ScaffoldError
from genkit.registry.selection import FIRST_PARTY
from genkit.scaffold import KINDS, LICENSES, new_plugin

ROOT = Path(__file__).parents[2]


def filled(folder):
    """Every file of a distribution and its text."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_distribution_is_whole_and_nothing_in_it_is_left_to_fill_in(kind, tmp_path):
    folder = new_plugin("genkit-wave-let", kind, tmp_path / "new", author="Ada L. <ada@example.org>")
    files = filled(folder)
    assert files.keys() == {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        ".gitignore",
        ".github/workflows/ci.yml",
        "example.yaml",
        "src/genkit_wave_let/__init__.py",
        "tests/test_genkit_wave_let.py",
    }
    assert not [path for path, text in files.items() if "sketch" in text.lower()]
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["name"] == "genkit-wave-let"
    of_command = {"genkit.commands": {"wave-let": "genkit_wave_let:wave_let_command"}}
    of_plugin = {"genkit": {"wave-let": "genkit_wave_let"}}
    assert project["entry-points"] == (of_command if kind == scaffold.COMMAND else of_plugin)
    assert project["license"] == "MIT"
    assert project["authors"] == [{"name": "Ada L.", "email": "ada@example.org"}]
    assert project["dependencies"][0].startswith(f"{FIRST_PARTY}>=")
    assert "Ada L." in files["LICENSE"]
    compile(files["src/genkit_wave_let/__init__.py"], "plugin", "exec")


@pytest.mark.parametrize("kind", [*interfaces.KINDS, scaffold.LOGGER, scaffold.COMMAND])
def test_every_kind_can_be_made(kind):
    assert kind in KINDS


@pytest.mark.parametrize("license", LICENSES)
def test_the_license_is_the_one_asked_for(license, tmp_path):
    files = filled(new_plugin("genkit-new", out=tmp_path / "new", license=license))
    assert tomllib.loads(files["pyproject.toml"])["project"]["license"] == license
    words = {"MIT": "MIT License", "BSD-3-Clause": "BSD 3-Clause", "Apache-2.0": "Apache License"}
    assert words[license] in files["LICENSE"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "Wavelet"}, "'Wavelet' is no name for a plugin: .*; write genkit-wavelet"),
        ({"name": "genkit-mlp"}, "'genkit-mlp' belongs to genkit-torch itself"),
        ({"name": "genkit-torch"}, "belongs to genkit-torch itself"),
        (
            {"name": "genkit-raw", "kind": "data"},
            "'genkit-raw': its class would be RawData, which is a name of genkit's",
        ),
        ({"name": "genkit-kl", "kind": "loss"}, "loss 'kl' comes with genkit-torch.* such as genkit-my-kl"),
        ({"name": "genkit-true"}, "does not read true as a name"),
        ({"kind": "critic"}, "--kind: there is no kind 'critic'; choose command, data, decoder"),
        ({"license": "GPL"}, "--license: 'GPL' is none of Apache-2.0, BSD-3-Clause, MIT"),
        ({"author": " "}, "--author: must be a name in one line"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(options, said, tmp_path):
    with pytest.raises(ScaffoldError, match=said):
        new_plugin(**{"name": "genkit-new", "out": tmp_path / "new", **options})
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_written_over(tmp_path, cli):
    (tmp_path / "kept.txt").write_text("mine")
    answer = cli("new-plugin", "genkit-new", "--out", tmp_path)
    assert answer.code == 2
    assert "is there already and not empty; choose another place with --out DIR" in answer.err
    assert filled(tmp_path) == {"kept.txt": "mine"}


def test_what_is_written_is_clean_code(tmp_path):
    for kind in KINDS:
        new_plugin(f"genkit-{kind}-of-mine", kind, tmp_path / kind)
    line = ["--isolated", "--line-length=120"]
    lint = ["check", *line, "--select=E,F,W,I,B,UP,SIM,RUF", "--ignore=RUF002,RUF003"]  # × and − are meant
    for command in (lint, ["format", "--check", *line]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_the_command_says_what_to_type_next(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = cli("new-plugin", "genkit-fold", "--kind", "loss", "--license", "BSD-3-Clause")
    assert answer.code == 0
    assert answer.out == "genkit-fold\n"
    assert answer.err.splitlines() == [
        "next:",
        "  cd genkit-fold",
        "  pip install -e '.[dev]'",
        "  pytest",
        "  genkit check-plugin genkit-fold",
        "  genkit run example.yaml",
    ]
    assert "loss: [reconstruction, kl, fold]\n" in Path("genkit-fold/example.yaml").read_text()


def test_a_command_alone_has_no_part_to_check_and_no_name_of_genkits_own(tmp_path, cli):
    answer = cli("new-plugin", "genkit-class", "--kind", "command", "--out", tmp_path / "new")
    assert answer.code == 0
    assert answer.err.splitlines()[-2:] == ["  pytest", "  genkit class --help"]
    assert not [path for path, text in filled(tmp_path / "new").items() if "check-plugin" in text]
    answer = cli("new-plugin", "genkit-sample", "--kind", "command", "--out", tmp_path / "refused")
    assert answer.code == 2
    assert "'genkit-sample': genkit has a command 'sample'; choose another name, such as genkit-my-sample" in answer.err
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(("reconstructions", "kept"), [((43.3, 38.4, 27.9), True), ((27.9, 28.4, 43.3), False)])
def test_the_test_of_a_new_plugin_is_on_the_data_as_other_terms_may_rise(reconstructions, kept, tmp_path, monkeypatch):
    new_plugin("genkit-rising", "sampler", tmp_path / "new")
    monkeypatch.syspath_prepend(tmp_path / "new" / "src")
    test = runpy.run_path(str(tmp_path / "new" / "tests" / "test_genkit_rising.py"))["test_the_example_trains"]
    trained = [
        SimpleNamespace(train=SimpleNamespace(loss=40.0 + number, terms={"reconstruction": each, "commitment": 10.0}))
        for number, each in enumerate(reconstructions)
    ]
    directory, data = SimpleNamespace(path=tmp_path), SimpleNamespace(shape=(1, 8, 8))
    monkeypatch.setattr("genkit.run", lambda *_, **__: SimpleNamespace(history=trained, directory=directory, data=data))
    monkeypatch.setattr("genkit.load", lambda _: data)
    with contextlib.nullcontext() if kept else pytest.raises(AssertionError):
        test(tmp_path)


@pytest.mark.slow
def test_the_wheel_brings_what_plugins_are_made_from(genkit_wheel):
    files = [path.relative_to(ROOT).as_posix() for path in scaffold.HERE.rglob("*") if path.is_file()]
    needed = {path for path in files if "__pycache__" not in path}
    assert {"genkit/scaffold/files/gitignore", "genkit/scaffold/licenses/MIT.txt"} <= needed
    assert needed <= set(zipfile.ZipFile(genkit_wheel).namelist())


def new_plugins(folder):
    for kind in KINDS:
        new_plugin(f"genkit-new-{kind}", kind, folder / kind)


@pytest.fixture(scope="session")
def written(once):
    """The folder of a new plugin of each kind."""
    return once("new-plugins", new_plugins)


@pytest.fixture
def done(written, unpacked, environment, process):
    """`done(kind, command, ...)`: what a command prints in the folder of that kind's plugin; it has to succeed.

    With None in place of a kind all plugins are there, and the folder is that of all.
    """
    site = unpacked("new-plugins-site", *(written / kind for kind in KINDS))

    def run(kind, *command):
        wanted = ",".join(f"genkit-new-{each}" for each in ([kind] if kind else KINDS))
        there = {**environment, "PYTHONPATH": str(site), "GENKIT_PLUGINS": wanted}
        ended = process(*command, cwd=written / (kind or ""), env=there)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run


@pytest.mark.slow
def test_new_plugins_pass_their_own_tests(done, written):
    """Those of each kind: its contract, and a run of its example."""
    folders = [written / kind / "tests" for kind in KINDS]
    config = written / KINDS[0] / "pyproject.toml"  # they have the same options
    printed = done(None, "python", "-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", config, *folders)
    assert [kind for kind in KINDS if f"test_genkit_new_{kind}.py::" not in printed] == []
    assert " passed" in printed


@pytest.mark.slow
def test_a_new_plugin_is_found_checked_and_run_by_the_commands_that_are_printed(done, tmp_path):
    rows = {row["distribution"]: row for row in json.loads(done("encoder", "genkit", "plugins", "--json"))}
    assert rows["genkit-new-encoder"]["components"] == ["encoder/new-encoder"]
    assert rows["genkit-new-encoder"]["problems"] == rows["genkit-new-encoder"]["notes"] == []
    assert "FAILED" not in done("encoder", "genkit", "check-plugin", "genkit-new-encoder")
    done("encoder", "genkit", "run", "example.yaml", "training.epochs=1", "--out", tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.slow
def test_a_new_command_is_listed_and_called(done):
    assert "Write the Euclidean distance of each test datum's code from 0" in done(
        "command", "genkit", "new-command", "--help"
    )
    assert "new-command" in done("command", "genkit", "--help")
