"""Rules that hold for the tree as a whole."""

import ast
import graphlib
import importlib
import inspect
import re
import statistics
import tomllib
from collections import defaultdict
from pathlib import Path

from genkit.config import RunConfig
from genkit.registry.registry import installed
from genkit.settings.base import Settings

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "genkit").rglob("*.py"))
SHIPPED = [*CORE, *sorted((ROOT / "plugins").rglob("*.py"))]

# Words of the language of configs and of machine learning at large, supports among them, that are also names of
# components.
COMMON = {"data", "gaussian", "activations", "arrays", "categorical", "noise", "range", "series", "sphere", "table"}


def strings(path):
    """The string constants of a file, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in prose
    ]


def identifiers(path):
    """The names that the code of a file uses."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return used | {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_the_core_names_no_component():
    names = {component.Config.model_fields["name"].default for p in installed().plugins for component in p.components}
    classes = {component.__name__ for plugin in installed().plugins for component in plugin.components}
    figures = {"kl", "reconstruction"}  # the two parts of the ELBO, which the core computes itself
    for path in CORE:
        assert not re.search(r"\bgenkit_(mlp|cnn|rnn|vae|sparse|gan|data|tensorboard)\b", path.read_text("utf-8")), path
        assert not identifiers(path) & classes, path
        assert not [value for value in strings(path) if value in names - figures - COMMON], path


def test_nothing_reads_or_writes_pickles():
    for path in SHIPPED:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        roots = {name.split(".")[0] for name in imported}
        assert not roots & {"pickle", "cloudpickle", "dill", "joblib", "shelve"}, path
        calls = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
        assert not calls & {"torch.load", "torch.save"}, path


def private_torch(path):
    """The private and experimental names of torch that a file uses, by dotted names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    owners = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "torch":
            owners |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias for alias in node.names if alias.name.partition(".")[0] == "torch"]
            owners |= {alias.asname or "torch": alias.name if alias.asname else "torch" for alias in names}
            yield from (alias.name for alias in names if PRIVATE.search(alias.name))
    yield from (name for name in owners.values() if PRIVATE.search(name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and DOTTED.fullmatch(text := ast.unparse(node)):
            first, _, rest = text.partition(".")
            if first in owners and PRIVATE.search(f"torch.{rest}"):
                yield text


PRIVATE = re.compile(r"\._(?!_)|\.experimental\b")
DOTTED = re.compile(r"\w+(\.\w+)+")


def test_private_names_of_torch_are_used_in_one_room_alone():
    contrib = [path for path in sorted((ROOT / "contrib").rglob("*.py")) if "tests" not in path.parts]
    used = {path: sorted(set(private_torch(path))) for path in [*SHIPPED, *contrib]}
    room = ROOT / "genkit" / "speed"
    assert {path: names for path, names in used.items() if names and room not in path.parents} == {}
    seen = {name for path, names in used.items() if room in path.parents for name in names}
    assert {"torch._inductor.compile", "torch.utils._python_dispatch.TorchDispatchMode"} <= seen


def test_no_shipped_class_overrides_a_concrete_method_of_another():
    overridden = []
    for plugin in installed().plugins:
        for component in plugin.components:
            for base in component.__mro__[1:]:
                if not base.__module__.startswith("genkit"):
                    continue
                for name, value in vars(component).items():
                    concrete = callable(vars(base).get(name)) and not getattr(
                        vars(base)[name], "__isabstractmethod__", False
                    )
                    if callable(value) and concrete and name not in ("__init__", "Config"):
                        overridden.append(f"{component.__name__}.{name}")
    assert overridden == []


RECORDS = {
    "DataSignature",
    "SideSignature",
    "Column",
    "Header",
    "PluginRecord",
    "Scaling",
}  # what is written into files, and no option of a config


def all_settings(settings=Settings):
    """Every group of options in what this project ships, those of parts included."""
    for cls in settings.__subclasses__():
        yield from all_settings(cls)
        if cls.__module__.startswith("genkit") and not cls.__module__.startswith("genkit.scaffold"):
            yield cls


def test_every_option_of_every_group_of_settings_is_described():
    assert all(plugin.components is not None for plugin in installed().plugins)  # which imports them
    names = {cls.__qualname__ for cls in all_settings()}
    assert names >= {"RunConfig", "TrainingConfig", "Ramp", "SGD", "CNNEncoder.Config", "Layer"}
    for cls in (cls for cls in all_settings() if cls.__qualname__ not in RECORDS):
        for name, field in cls.model_fields.items():
            chooses_class = name == "name" and cls is not RunConfig
            assert chooses_class or field.description, f"{cls.__module__}.{cls.__qualname__}.{name}"


FLOORS = """
cli
scaffold testing
runs
sharing
registry
training
pictures
record
evaluation
model
config
data
interfaces
speed
parallel
settings pages
files examples
errors activations
text
"""
"""The rooms of genkit/, floor by floor from the top: each imports only from its own room and from the floors below."""
FLOOR = {room: number for number, line in enumerate(FLOORS.split("\n")) for room in line.split()}
FACE = {"genkit", "genkit.__main__"}
"""The modules that stand before the house: they hand names on."""


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in CORE if not {"kinds", "tests"} & {*path.relative_to(ROOT).parts[2:-1]}}
"""The modules of genkit/ by their names; the files that the scaffold copies into a new plugin are none."""


def imports_of(path):
    """The modules of genkit that a module imports, at any depth and for types alone too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "genkit":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def room_of(module):
    return module.split(".")[1]


def test_imports_go_only_down():
    for module in MODULES.keys() - FACE:
        for other in set(imports_of(MODULES[module])) - FACE:
            below = FLOOR[room_of(other)] > FLOOR[room_of(module)]
            assert below or room_of(other) == room_of(module), f"{module} imports {other}"


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: set(imports_of(path)) - FACE for module, path in MODULES.items() if module not in FACE}
    assert list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, with the circle


def test_every_room_is_on_a_floor_and_says_what_lives_there():
    rooms = {room_of(module) for module in MODULES.keys() - FACE}
    assert rooms == FLOOR.keys()
    for module, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), module


def test_every_package_is_type_checked():
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["packages"]
    assert {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")} - {*checked} == set()


def test_tests_mirror_the_modules():
    tested = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    rooms = {room_of(module) for module in MODULES.keys() - FACE}
    for path in tested:
        if path.parts[0] in rooms and len(path.parts) > 1:
            module = path.with_name(path.name.removeprefix("test_")).with_suffix("")
            folder = ROOT / "genkit" / module
            assert (
                folder.with_suffix(".py").is_file() or folder.is_dir() or module.name in (*ROOMWIDE, path.parts[0])
            ), path


ROOMWIDE = {"commands", "contract"}
"""Tests of a whole room: the command line, and the contract."""


def test_no_file_is_too_long_to_read():
    files = [*SHIPPED, *(ROOT / "benchmarks").rglob("*.py")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {path: length for path, length in lengths.items() if length > 300} == {}


def test_functions_are_short():
    lengths = {}
    for path in CORE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                lengths[f"{module_of(path)}.{node.name}"] = node.end_lineno - node.lineno + 1
    assert statistics.median(lengths.values()) <= 7
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= 21
    assert {name: length for name, length in lengths.items() if length > 40} == {}


BLOCK = 10
"""Lines of code that may not occur twice in a row."""


def test_no_code_is_repeated():
    places = defaultdict(list)
    for path in CORE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        text = "\n".join(ast.unparse(node) for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom))
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        for start in range(len(lines) - BLOCK + 1):
            places["\n".join(lines[start : start + BLOCK])].append(module_of(path))
    assert {block: where for block, where in places.items() if len(where) > 1} == {}


def test_every_public_name_is_there():
    face = importlib.import_module("genkit")
    for name in face.__all__:
        assert inspect.getdoc(getattr(face, name)) or name == "Shape", name
    assert {"Encoder", "Sampler", "load", "run", "normal", "uniform"} <= {*face.__all__}
    assert {*dir(face)} >= {*face.__all__}


BARE = {"found", "given", "known", "made", "told", "owed", "lent"}
"""Verbs in the past that name no value."""


def test_values_are_called_by_what_they_are():
    for path in [*SHIPPED, *(ROOT / "contrib").glob("*/src/**/*.py")]:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        names |= {node.name.strip("_") for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert not names & BARE, path
