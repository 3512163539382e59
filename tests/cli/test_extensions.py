"""Commands that plugins bring."""

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

NOTHING = 3
'''
ENTRIES = """[genkit.commands]
tell = told_plugin:tell
fails = told_plugin:fails
nothing = told_plugin:NOTHING
missing = no_such_module:run
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

    def call(*words, plugins="all"):
        return process("genkit", *words, env=environment | {"PYTHONPATH": str(tmp_path), "GENKIT_PLUGINS": plugins})

    return call


def test_a_command_of_a_plugin_is_called_with_its_options(with_plugin):
    done = with_plugin("tell", "Ann", "--times", "2")
    assert (done.returncode, done.stdout) == (0, "told Anntold Ann\n")
    assert "how often" in with_plugin("tell", "--help").stdout
    assert with_plugin("tell").returncode == 2


def test_the_help_names_it_and_who_brings_it(with_plugin):
    text = with_plugin("--help").stdout
    assert "A command of told-plugin." in text
    assert "BAD NAME" not in text


def test_its_errors_are_one_message(with_plugin):
    assert with_plugin("fails").stderr == "error: it does not work; mend it\n"
    missing = with_plugin("missing")
    assert missing.returncode == 2
    assert missing.stderr.startswith("error: command 'missing' of told-plugin cannot be imported: ModuleNotFoundError")
    assert "told_plugin:NOTHING is no function" in with_plugin("nothing").stderr


def test_it_takes_no_command_of_genkit_and_can_be_left_out(with_plugin):
    assert "it does not work" not in with_plugin("run").stderr
    assert "No such command 'tell'" in with_plugin("tell", "Ann", plugins="none").stderr
    assert "No such command 'tell'" in with_plugin("tell", "Ann", plugins="-told-plugin").stderr
