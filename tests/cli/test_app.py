import ast
import io
import sys
import warnings
from pathlib import Path

import pytest
from rich.progress import Progress

from genkit.cli import main, tables
from genkit.cli.app import any_terminal, fail, say, warning_lines
from genkit.errors import ConfigError, GenkitWarning

ROOT = Path(__file__).parents[2]


@pytest.fixture
def terminal(monkeypatch):
    """`terminal("ascii")`: stdout and stderr of that encoding; gives what was printed as bytes."""

    def make(encoding):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        any_terminal()
        return [stream.buffer for stream in streams]

    return make


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", r"-1 x 2 ... Frechet \u732b caf\udce9"),
        ("cp1252", r"-1 × 2 … Fréchet \u732b caf\udce9"),
        ("utf-8", r"−1 × 2 … Fréchet 猫 caf\udce9"),
    ],
)
def test_a_terminal_with_few_characters_shows_similar_ones(terminal, encoding, shown):
    out, _ = terminal(encoding)
    print("−1 × 2 … Fréchet 猫 caf\udce9")
    assert out.getvalue().decode(encoding) == shown + "\n"


@pytest.mark.slow
def test_the_command_line_works_on_an_ascii_terminal(terminal, finished, monkeypatch):
    out, err = terminal("ascii")
    for words in (["describe", finished.directory.path], ["load", finished.directory.path], ["run", "--help"]):
        monkeypatch.setattr(sys, "argv", ["genkit", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
    assert b"data of shape 1 x 8 x 8" in out.getvalue()
    assert not err.getvalue()


def test_a_bar_is_drawn_on_an_ascii_terminal(terminal):
    out, _ = terminal("ascii")
    with Progress(console=tables.console(force_terminal=True)) as bar:
        bar.add_task("training", total=2)
    assert b"training" in out.getvalue()


HOSTILE = "a\x1b]0;title\x07\nerror: fake\r\x9b2J\u2028"
SHOWN = r"a\x1b]0;title\x07\nerror: fake\r\x9b2J\u2028"


def test_foreign_text_does_nothing_to_a_terminal(capsys):
    say(HOSTILE, 1)
    assert capsys.readouterr().out == f"{SHOWN}\n1\n"
    with warnings.catch_warnings(), warning_lines():
        warnings.simplefilter("always")
        warnings.warn(HOSTILE, GenkitWarning, stacklevel=1)
    assert capsys.readouterr().err == f"warning: {SHOWN}\n"


def test_what_goes_to_a_closed_stderr_goes_nowhere(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    say("talk", error=True)
    say("result")
    assert capsys.readouterr().out == "result\n"


def test_foreign_text_makes_no_line_of_its_own_among_errors(capsys):
    with pytest.raises(SystemExit):
        fail(str(ConfigError(f"one: {HOSTILE}", "two")))
    assert capsys.readouterr().err == f"error: one: {SHOWN}\nerror: two\n"


def test_foreign_text_in_tables_is_no_markup(capsys):
    table = tables.table(("[b]name", "what"), ("n\x1b",))
    tables.add_row(table, "[red]a[/red]", "[/nothing] :cat: \x1b[2J", "1")
    tables.console(width=80).print(table)
    printed = capsys.readouterr().out
    for text in ("[b]name", "[red]a[/red]", r"[/nothing] :cat: \x1b[2J", r"n\x1b"):
        assert text in printed


@pytest.mark.parametrize("path", sorted((ROOT / "genkit/cli").rglob("*.py")), ids=lambda path: path.stem)
def test_the_commands_print_through_what_shows_foreign_text_as_it_is(path):
    if path.name in ("app.py", "tables.py"):
        return
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    calls = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
    assert not {"print", "Console", "table.add_row"} & {*calls}
