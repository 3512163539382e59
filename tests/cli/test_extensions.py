"""Commands that plugins bring."""

import json
import os

import pytest

pytestmark = pytest.mark.slow

SOURCE = '''
from typing import Annotated
import typer
from genkit.errors import GenkitError

def tell(name: Annotated[str, typer.Argument()], times: Annotated[int, typer.Option(help="how often")] = 1):
    """Tell something."""
    print(f"told {name}" * times)

def fails():
    raise GenkitError("it does not work; mend it")

def breaks(run: str):
    {}["key"]

def untold(run: int | list[str]):
    """Has an argument that no word can be."""

def leaves():
    raise SystemExit(5)

def exits():
    raise typer.Exit(4)

NOTHING = 3
'''
ENTRIES = """[genkit.commands]
tell = told_plugin:tell
fails = told_plugin:fails
nothing = told_plugin:NOTHING
breaks = told_plugin:breaks
untold = told_plugin:untold
leaves = told_plugin:leaves
exits = told_plugin:exits
absent = no_such_module:run
run = told_plugin:fails
BAD NAME = told_plugin:tell
"""


@pytest.fixture
def with_plugin(tmp_path, environment, process):
    """`with_plugin("tell", "x")`: a genkit command where a distribution brings commands."""
    info = tmp_path / "told_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: told-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "told_plugin.py").write_text(SOURCE)

    def call(*words, plugins="all", **variables):
        more = {"PYTHONPATH": str(tmp_path), "GENKIT_PLUGINS": plugins, **variables}
        return process("genkit", *words, env=environment | more)

    return call


def test_a_command_of_a_plugin_is_called_with_its_options(with_plugin):
    done = with_plugin("tell", "Ann", "--times", "2")
    assert (done.returncode, done.stdout) == (0, "told Anntold Ann\n")
    assert "how often" in with_plugin("tell", "--help").stdout
    assert with_plugin("tell").returncode == 2


def test_the_help_says_what_it_does_or_who_brings_it(with_plugin):
    text = with_plugin("--help").stdout
    assert "Tell something." in text
    assert "A command of told-plugin." in text  # of one without a docstring
    assert "BAD NAME" not in text


def test_its_errors_are_one_message(with_plugin):
    assert with_plugin("fails").stderr == "error: it does not work; mend it\n"
    absent = with_plugin("absent")
    assert absent.returncode == 2
    assert absent.stderr.startswith("error: command 'absent' of told-plugin cannot be imported: ModuleNotFoundError")
    assert "told_plugin:NOTHING is no function" in with_plugin("nothing").stderr


def test_it_takes_no_command_of_genkit_and_can_be_left_out(with_plugin):
    assert "it does not work" not in with_plugin("run").stderr
    assert "there is no command 'tell'" in with_plugin("tell", "Ann", plugins="none").stderr
    assert "there is no command 'tell'" in with_plugin("tell", "Ann", plugins="-told-plugin").stderr


def test_one_that_breaks_is_one_line_with_its_place(with_plugin):
    line = SOURCE.splitlines().index('    {}["key"]') + 1
    said = f"error: command 'breaks' of told-plugin fails: KeyError: 'key' (told_plugin.py:{line});"
    broken = with_plugin("breaks", "x")
    assert (broken.returncode, broken.stderr) == (2, f"{said} GENKIT_TRACEBACK=1 shows the traceback\n")
    whole = with_plugin("breaks", "x", GENKIT_TRACEBACK="1").stderr
    assert "Traceback" in whole
    assert said in whole
    untold = with_plugin("untold", "x")
    begins = SOURCE.splitlines().index("def untold(run: int | list[str]):") + 1
    assert (untold.returncode, untold.stderr.count("\n")) == (2, 1)
    assert f"(told_plugin.py:{begins})" in untold.stderr
    assert with_plugin("leaves").returncode == 5
    assert with_plugin("exits").returncode == 4


def test_they_are_listed_with_what_keeps_them_from_being_called(with_plugin):
    rows = json.loads(with_plugin("plugins", "--json").stdout)
    (row,) = [row for row in rows if row["distribution"] == "told-plugin"]
    assert (row["name"], row["version"]) == ("told-plugin", "1.0")
    assert {"tell", "breaks"} <= {*row["commands"]}
    problems = "\n".join(row["problems"])
    assert "command 'run' of told-plugin is refused: genkit has a command of that name" in problems
    assert "command 'BAD NAME' of told-plugin is refused: a name is of small letters" in problems
    assert "command 'absent' of told-plugin cannot be imported: ModuleNotFoundError" in problems
    assert "told_plugin:NOTHING is no function" in problems
    assert "commands: breaks, " in with_plugin("plugins").stdout
    assert "told-plugin" not in with_plugin("plugins", plugins="none").stdout


def test_the_commands_of_plugins_are_added_once_and_are_none_of_genkits_own():
    from genkit.cli import application, extensions
    from genkit.cli.app import PLUGINS

    app = application()
    for _ in range(2):
        extensions.add_to(app, PLUGINS, ["--help"])
    assert [command.name for command in app.registered_commands].count("saelens") == 1
    assert "saelens" not in extensions.own_names(app)
    assert "run" in extensions.own_names(app)


def test_a_distribution_that_is_there_twice_has_its_commands_once(with_plugin, tmp_path):
    copy = tmp_path / "copy" / "told_plugin-0.9.dist-info"
    copy.mkdir(parents=True)
    (copy / "METADATA").write_text("Metadata-Version: 2.1\nName: told-plugin\nVersion: 0.9\n")
    (copy / "entry_points.txt").write_text("[genkit.commands]\ntell = no_such_module:run\n")
    done = with_plugin("tell", "x", PYTHONPATH=f"{tmp_path}{os.pathsep}{copy.parent}")
    assert done.returncode == 0
    assert done.stdout == "told x\n"
