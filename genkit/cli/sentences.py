"""The first sentence of a function's docstring, read from its file: nothing is imported."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path


def sentence(module: str, function: str) -> str | None:
    """The first line of the docstring of a function.

    Args:
        module: its module, with the packages that this is in: `package.module`.
        function: its name.

    Returns:
        The line; None: there is none, or the file is not found or no Python.
    """
    file = _file(module)
    try:
        tree = ast.parse(file.read_bytes()) if file is not None else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            text = (ast.get_docstring(node) or "").strip()
            return text.partition("\n")[0] or None
    return None


def _file(module: str) -> Path | None:
    """The file of a module, of which no package is imported."""
    places: Sequence[str] | None = sys.path
    origin = None
    for name in module.split("."):
        spec = PathFinder.find_spec(name, places) if places is not None else None
        if spec is None:
            return None
        origin, places = spec.origin, spec.submodule_search_locations
    return Path(origin) if origin is not None and origin.endswith(".py") else None
