"""Scaffold of a new plugin: the folder of a whole distribution, filled in from the files beside this module.

The files make a plugin called `sketch`, one for each kind; every word in them that begins with `sketch` is replaced
(`genkit_sketch`, `SketchEncoder`, `sketch-license`). So the modules in `kinds/` are checked and tested as they are.
"""

from __future__ import annotations

import ast
import datetime
import json
import re
from importlib import metadata
from pathlib import Path

from genkit.errors import ScaffoldError
from genkit.files import atomic
from genkit.registry.discovery import GROUP
from genkit.registry.kinds import name_of
from genkit.registry.registry import installed
from genkit.registry.selection import FIRST_PARTY

HERE = Path(__file__).parent
KINDS = tuple(sorted(path.stem for path in (HERE / "kinds").glob("*.py")))
LICENSES = tuple(sorted(path.stem for path in (HERE / "licenses").glob("*.txt")))
KEYS = {"metric": "metrics", "transform": "data.transform"}
"""The keys at which a config names parts, where they are not those of the kinds."""
LOGGER = "logger"
"""The kind without a component: hooks that follow a run."""
COMMAND = "command"
"""The kind without a plugin: a command of `genkit`."""

PREFIX = "genkit-"
_NAME = re.compile(PREFIX + r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NO_TEXT = ("true", "false", "null")
"""Words that a config does not read as a name."""
_WORD = re.compile(r'"sketch-authors"|genkit[-_]sketch|sketch-[a-z]+|SketchComponent|Sketch|sketch_command|sketch')


def new_plugin(
    name: str, kind: str = "encoder", out: str | Path | None = None, license: str = "MIT", author: str | None = None
) -> Path:
    """Write a distribution with one working plugin, its tests and the files to publish it; gives its folder.

    Args:
        name: the distribution's name, `genkit-...`; the component's name is the rest of it.
        kind: the component's kind, one of KINDS.
        out: the folder, which must be new or empty; by default one with the distribution's name.
        license: the name of the license, one of LICENSES.
        author: the author as `Name` or `Name <address>`; by default "the authors of" the distribution.

    Raises:
        ScaffoldError: arguments are wrong, one line per mistake; nothing is written.
    """
    folder = Path(name if out is None else out)
    problems = [*_name_problems(name, kind), *_choice_problems(kind, license, author), *_place_problems(folder)]
    if problems:
        raise ScaffoldError("\n".join(problems))
    values = _values(name, kind, license, author or f"the authors of {name}")
    for path, text in _files(kind, license, values["genkit_sketch"]).items():
        atomic.write_text(folder / path, _WORD.sub(lambda word: values[word[0]], text))
    return folder


def _name_problems(name: str, kind: str) -> list[str]:
    if not _NAME.fullmatch(name):
        bare = re.sub(r"[^a-z0-9]+", "-", name.lower().removeprefix("genkit")).strip("-")
        hint = f"; write {PREFIX}{bare}" if _NAME.fullmatch(PREFIX + bare) else ""
        form = f"{PREFIX} and words of small letters and digits, the first of which begins with a letter"
        return [f"'{name}' is no name for a plugin: it is {form}, with - between them{hint}"]
    word = name.removeprefix(PREFIX)
    if word in _NO_TEXT:
        return [f"'{name}': a config does not read {word} as a name; choose another"]
    if name == FIRST_PARTY or _package(name) in _own_packages():
        return [f"'{name}' belongs to {FIRST_PARTY} itself; choose another name"]
    if kind in KINDS and (label := _camel(word) + kind.capitalize()) in _imported(kind):
        return [f"'{name}': its class would be {label}, which is a name of genkit's own; choose another name"]
    own = [part for plugin in installed().plugins if plugin.distribution == FIRST_PARTY for part in plugin.components]
    if any(part.kind == kind and name_of(part) == word for part in own):
        return [
            f"'{name}': {kind} '{word}' comes with {FIRST_PARTY}, and that is what a config would take; "
            f"choose another name, such as {PREFIX}my-{word}"
        ]
    return []


def _choice_problems(kind: str, license: str, author: str | None) -> list[str]:
    problems = []
    if kind not in KINDS:
        problems.append(f"--kind: there is no kind '{kind}'; choose {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    if license not in LICENSES:
        problems.append(
            f"--license: '{license}' is none of {', '.join(LICENSES)}; for another, choose one of them and replace "
            "LICENSE, and `license` in pyproject.toml"
        )
    if author is not None and not (_name_of_author(author) and author.isprintable()):
        problems.append("--author: must be a name in one line, or 'Name <address>'")
    return problems


def _place_problems(folder: Path) -> list[str]:
    if folder.is_dir() and any(folder.iterdir()):
        return [f"{folder}: is there already and not empty; choose another place with --out DIR"]
    if folder.exists() and not folder.is_dir():
        return [f"{folder}: is a file; choose another place with --out DIR"]
    return []


def _own_packages() -> set[str]:
    entries = metadata.distribution(FIRST_PARTY).entry_points.select(group=GROUP)
    return {entry.module.partition(".")[0] for entry in entries}


def _package(name: str) -> str:
    return name.replace("-", "_")


def _camel(word: str) -> str:
    return "".join(part.capitalize() for part in word.split("-"))


def _imported(kind: str) -> set[str]:
    """The names that the module of a kind imports, which no class in it can have."""
    nodes = ast.walk(ast.parse((HERE / "kinds" / f"{kind}.py").read_text(encoding="utf-8")))
    return {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def _values(name: str, kind: str, license: str, author: str) -> dict[str, str]:
    """The replacement of each word that begins with `sketch`."""
    word = name.removeprefix(PREFIX)
    here = metadata.version(FIRST_PARTY).split(".")
    use, shown = _use(kind, word)
    return {
        "genkit-sketch": name,
        "genkit_sketch": _package(name),
        "sketch": word,
        "Sketch": _camel(word),
        "SketchComponent": _camel(word) + kind.capitalize(),
        "sketch-summary": _summary(kind).replace("sketch", word),
        "sketch_command": f"{_package(word)}_command",
        "sketch-use": use,
        "sketch-usage": shown,
        "sketch-license": license,
        "sketch-author": _name_of_author(author),
        '"sketch-authors"': _toml(author),
        "sketch-year": str(datetime.datetime.now().astimezone().year),
        "sketch-version": ".".join(here[:2]),
        "sketch-next": str(int(here[0]) + 1),
    }


def _use(kind: str, word: str) -> tuple[str, str]:
    """How a plugin of a kind is used, and what else there is to know of it."""
    if kind == LOGGER:
        return "It needs no config", "it follows every run"
    if kind == COMMAND:
        return f"`genkit {word} --help` prints its options", "it trains nothing"
    return (
        f"In a config it is `{KEYS.get(kind, kind)}: {word}`",
        f"`genkit plugins show {kind}/{word}` prints its options",
    )


def _summary(kind: str) -> str:
    """The first line of the docstring of a kind's module, as text that a TOML string can hold."""
    text = ast.get_docstring(ast.parse((HERE / "kinds" / f"{kind}.py").read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0].rstrip(".").replace("`", "")


def _name_of_author(author: str) -> str:
    return author.partition("<")[0].strip()


def _toml(author: str) -> str:
    """An author in the form of pyproject.toml."""
    address = author.partition("<")[2].rstrip("> ")
    email = f", email = {_quoted(address)}" if address else ""
    return f"{{ name = {_quoted(_name_of_author(author))}{email} }}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _files(kind: str, license: str, package: str) -> dict[str, str]:
    """The text of each file of the distribution, not filled in yet."""
    sources = {
        "pyproject.toml": "files/pyproject.toml",
        "README.md": "files/README.md",
        "LICENSE": f"licenses/{license}.txt",
        ".gitignore": "files/gitignore",
        ".github/workflows/ci.yml": "files/ci.yml",
        "example.yaml": "files/example.yaml",
        f"src/{package}/__init__.py": f"kinds/{kind}.py",
        f"tests/test_{package}.py": f"tests/{kind if kind in (LOGGER, COMMAND) else 'component'}.py",
    }
    texts = {path: (HERE / source).read_text(encoding="utf-8") for path, source in sources.items()}
    if kind == COMMAND:
        texts = {path: _of_command(text) for path, text in texts.items()}
    return {**texts, "example.yaml": _with_part(texts["example.yaml"], kind)}


def _of_command(text: str) -> str:
    """A file without what is of plugins alone: the check of their parts, and their entry point."""
    text = text.replace("[project.entry-points.genkit]", '[project.entry-points."genkit.commands"]')
    text = text.replace('sketch = "genkit_sketch"', 'sketch = "genkit_sketch:sketch_command"')
    text = text.replace("the contract of its kind, and a short run", "a short run, and the command")
    text = text.replace("lists it, with its parts", "lists it").replace("a small model with it", "a small model")
    return re.sub("(?m)^.*genkit check-plugin.*\n", "", text)


def _with_part(config: str, kind: str) -> str:
    """The config with the new part in its place: a loss term after those of the example, a metric at the end."""
    if kind == "metric":
        return f"{config}metrics: [sketch]\n"
    if kind == "prior":
        return re.sub(r"(?m)^(sampler: .*)$", r"\1\nprior: sketch", config)
    if kind == "transform":
        return re.sub(r"(?m)^data: (.*)$", r"data: {name: \1, transform: [sketch]}", config)
    if kind == "loss":
        return re.sub(r"(?m)^loss: \[(.*)\]$", r"loss: [\1, sketch]", config)
    return re.sub(rf"(?m)^{kind}: .*$", f"{kind}: sketch", config)
