"""Rules that hold for the tree as a whole."""

import ast
import re
from pathlib import Path

import pytest

from genkit.registry.registry import installed

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "genkit").rglob("*.py"))
SHIPPED = [*CORE, *sorted((ROOT / "plugins").rglob("*.py"))]

# Words of the language of configs and of machine learning at large that are also names of components.
COMMON = {"data", "gaussian", "arrays"}


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


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_names_no_component(path):
    names = {component.Config.model_fields["name"].default for p in installed().plugins for component in p.components}
    classes = {component.__name__ for plugin in installed().plugins for component in plugin.components}
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\bgenkit_(mlp|cnn|rnn|vae|sparse|gan|data|tensorboard)\b", text)
    assert not identifiers(path) & classes
    figures = {"kl", "reconstruction"}  # the two parts of the ELBO, which the core computes itself
    assert not [value for value in strings(path) if value in names - figures - COMMON]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_nothing_reads_or_writes_pickles(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in imported} & {"pickle", "cloudpickle", "dill", "joblib", "shelve"}
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"torch.load", "torch.save"}


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


def test_every_option_of_every_component_is_described():
    for plugin in installed().plugins:
        for component in plugin.components:
            for name, field in component.Config.model_fields.items():
                assert name == "name" or field.description, f"{component.__name__}.Config.{name}"
