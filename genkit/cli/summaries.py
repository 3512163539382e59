"""What commands of plugins do, in a line of the help: read from their source, which is not imported."""

from __future__ import annotations

import ast
import importlib.util
from importlib.metadata import EntryPoint
from pathlib import Path

from genkit.text import printable


def summary(entry: EntryPoint) -> str | None:
    """The first line of the docstring of the function that an entry point names; None: it cannot be read."""
    try:
        tree = ast.parse(_source(entry.module).read_text(encoding="utf-8"))
    except (OSError, ImportError, ValueError, SyntaxError, RecursionError, AttributeError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            text = (ast.get_docstring(node) or "").partition("\n")[0].strip()
            return printable(text) or None
    return None


def _source(module: str) -> Path:
    """The file of a module; its package is looked for, and not imported."""
    package, *inside = module.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ImportError(module)
    if not inside:
        return Path(str(spec.origin))
    path = Path((spec.submodule_search_locations or [""])[0]).joinpath(*inside)
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
