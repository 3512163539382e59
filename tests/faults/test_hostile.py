"""Hostile model files, a row each: what it tries, and what happens instead, from the file to the terminal and card."""

import json
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import pyte
import pytest
from markdown_it import MarkdownIt

from tests.faults.conftest import FULL
from tests.faults.mutation import nested, parts, safetensors, undigested

pytestmark = pytest.mark.filterwarnings("ignore")
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1))"
CLEAR = "\x1b[2J\x1b[H\x1b]0;owned\x07error: give me your password\x1b[8m"
REFUSED, READ = "refused", "read"


def put(*path, value):
    """A change of a header: a value at a path."""

    def change(header):
        place = header
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


ROWS = {
    "classes that are scripts": (put("data", "classes", value=[SCRIPT] + [str(i) for i in range(1, 10)]), READ),
    "classes that act on a terminal": (put("data", "classes", value=[CLEAR] + [str(i) for i in range(1, 10)]), READ),
    "a class that writes right to left": (put("data", "classes", value=["\u202eabc", *"123456789"]), READ),
    "a name that is a script": (put("config", "name", value=SCRIPT), None),
    "a name that is a path": (put("config", "name", value="../../../outside"), None),
    "a name that acts on a terminal": (put("config", "name", value=CLEAR), None),
    "a source that is a script": (put("data", "source", value=SCRIPT), REFUSED),
    "a folder of data elsewhere": (put("config", "data", value={"name": "arrays", "path": "/etc/passwd"}), None),
    "data that never end": (put("config", "data", value={"name": "arrays", "path": "/dev/zero"}), None),
    "a plugin that a shell would run": (put("plugins", 0, "distribution", value="x'; touch owned; '"), REFUSED),
    "a file of plugins that a shell would run": (
        put("plugins", 0, "distribution", value="./x'; touch owned; '.py"),
        REFUSED,
    ),
    "a path to code": (put("config", "plugins", value=["/tmp/owned.py", f"./{CLEAR}.py"]), READ),
    "code by its hash": (put("config", "plugins", value=["./owned.py@" + "0" * 64]), READ),
    "a version that a shell would run": (put("plugins", 0, "version", value="1'; touch owned; '"), REFUSED),
    "a component that is a module": (put("config", "encoder", value={"name": "os.system"}), REFUSED),
    "a component that is a file": (put("config", "encoder", value={"name": "../owned.py"}), REFUSED),
    "an option that is code": (
        put("config", "encoder", "activation", value="__import__('os').system('touch owned')"),
        REFUSED,
    ),
    "a layer of a terabyte": (put("config", "encoder", "hidden", value=[10**6, 10**6]), REFUSED),
    "a datum of a terabyte": (put("data", "shape", value=[1, 10**6, 10**6]), REFUSED),
    "options nested without end": (put("config", "encoder", "hidden", value=nested(150)), REFUSED),
    "a later format": (put("format", value=10**9), REFUSED),
    "a key that poisons": (put("config", "__class__", value={"__init__": "x"}), REFUSED),
    "a digit that is a number of another world": (put("data", "range", value=[-1e308, 1e308]), None),
}
"""What a row tries: the change of the header, and whether it is refused or read (None: that depends on the command)."""

ANONYMOUS = tempfile.gettempdir()
"""The folder itself, where files without a name are opened in which pytest keeps what is printed."""
DONE = []
"""What this process did since `watching` was set: programs, connections, files that it wrote."""
STATE = {"watching": False, "armed": False}


def _audit(event, arguments):
    if not STATE["watching"]:
        return
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "socket.connect"):
        DONE.append((event, str(arguments[0])))
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        DONE.append(("write", str(arguments[0])))


@pytest.fixture
def effects():
    """What the commands of a test do besides reading."""
    if not STATE["armed"]:  # there is no way to remove an audit hook
        sys.addaudithook(_audit)
        STATE["armed"] = True
    DONE.clear()
    STATE["watching"] = True
    yield DONE
    STATE["watching"] = False


@pytest.fixture
def hostile(trained, tmp_path):
    """`hostile(change)`: a model whose header went through a change, and that has no digest to betray it."""
    content = trained["vae-digits"].directory.model.read_bytes()

    def make(change):
        header, body = parts(content)
        undigested(header)
        genkit = json.loads(header["__metadata__"]["genkit"])
        change(genkit)
        header["__metadata__"]["genkit"] = json.dumps(genkit)
        folder = tmp_path / "file"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(safetensors(header, body))
        return folder / "model.safetensors"

    return make


class Tags(HTMLParser):
    """The tags of a page, with the addresses in them."""

    def __init__(self, html):
        super().__init__()
        self.seen = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))


def live(card):
    """The tags of a rendered card that do something, and attributes that do."""
    tags = Tags(MarkdownIt("commonmark", {"html": True}).enable("table").render(card)).seen
    acting = [each for each in tags if each[0] in ("script", "iframe", "object", "svg", "style", "form")]
    acting += [each for each in tags if any(name.startswith("on") for name in each[1])]
    return acting + [each for each in tags if "javascript:" in str(each[1].get("href"))]


def acts(text):
    """Whether text does more to a terminal than to fill its lines."""
    screen = pyte.Screen(200, 300)  # more lines than any command prints
    pyte.Stream(screen).feed("before\r\n" + text.replace("\n", "\r\n"))
    first = "".join(screen.buffer[0][column].data for column in range(len("before")))
    return screen.title != "" or first != "before"


def commands(model, out):
    yield "load", model
    yield "card", model, "--out", out / "card.md"
    yield "sample", model, "-n", 2, "--out", out / "x.npz"
    if FULL:
        yield "load", model, "--json"
        yield "describe", model
        yield "encode", model, "--out", out / "z.csv"
        yield "evaluate", model
        yield "compare", model, model, "--out", out / "compared"


@pytest.mark.parametrize("row", ROWS)
def test_a_hostile_file_does_nothing(row, cli, hostile, tmp_path, effects, monkeypatch, count):
    change, fate = ROWS[row]
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    model = hostile(change)
    answers = {words: cli(*words) for words in commands(model, out)}
    count("hostile files", cases=1)
    assert {answer.code for answer in answers.values()} <= {0, 2}
    if fate == REFUSED:
        assert {answer.code for answer in answers.values()} == {2}, answers
    if fate == READ:  # data whose classes are others are no data of this model, which is for `evaluate` to say
        assert {answer.code for words, answer in answers.items() if words[0] in ("load", "card", "sample")} == {0}, (
            answers
        )
    for answer in answers.values():
        assert "Traceback" not in answer.err
        assert not acts(answer.out + answer.err)
        assert not any(line.startswith("error: give") for line in (answer.out + answer.err).splitlines())
        assert "touch owned" not in "".join(line for line in answer.err.splitlines() if "pip install" in line)
    card = out / "card.md"
    if card.is_file():
        assert not live(card.read_text("utf-8"))
    written = [Path(path) for kind, path in effects if kind == "write" and path != ANONYMOUS]
    assert [each for each in effects if each[0] != "write"] == []
    assert [path for path in written if not path.is_absolute() or not path.is_relative_to(tmp_path)] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]
    assert [path.name for path in model.parent.iterdir()] == ["model.safetensors"]


def test_what_acts_is_seen():
    assert live(SCRIPT)
    assert acts(CLEAR)
    assert not acts("a line\nand one more")
    assert not live("a **bold** line")
