"""A page: a template of a package, filled in, as one HTML file that loads nothing from elsewhere.

Only the page's own script runs, by its hash in the Content-Security-Policy: text that slipped through as markup could
neither run nor load anything.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genkit.files import atomic
from genkit.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment

FRAME = "genkit.pages"
"""The package of the frame, the style and the script."""


def render(package: str, template: str, assets: tuple[str, ...] = (), **values: Any) -> str:
    """The text of a page.

    Args:
        package: the Python package that has the template.
        template: the name of the template's file; it extends `page.html.j2`.
        assets: styles (.css) and scripts (.js) of the package that come after those of every page.
        values: what the template shows. Strings are escaped, and their control characters shown as escapes.
    """
    return _environment(package, assets).get_template(template).render(**values)


def write(path: Path, text: str) -> Path:
    """Write a page, whole or not at all; raises RunError where the file cannot be written."""
    atomic.write_text(path, text)
    return path


@functools.cache
def _environment(package: str, assets: tuple[str, ...]) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = ChoiceLoader([PackageLoader(name, ".") for name in dict.fromkeys((package, FRAME))])
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    style, script = (_asset(FRAME, name) + _own(package, assets, name) for name in ("page.css", "charts.js"))
    environment.globals |= {
        "style": Markup(style),  # files of packages
        "script": Markup(script),
        "policy": _policy(style, script),
    }
    environment.filters["lines"] = _lines
    return environment


def _shown(value: Any) -> Any:
    """A value as it is filled in: of plain text, what hides or acts is shown as escapes."""
    return printable(value) if type(value) is str else value


def _lines(text: str) -> Any:
    """Text of several lines, each as it is shown."""
    from markupsafe import Markup, escape

    return Markup("\n").join(escape(printable(line)) for line in text.splitlines())


def _asset(package: str, name: str) -> str:
    return (resources.files(package) / name).read_text(encoding="utf-8")


def _own(package: str, assets: tuple[str, ...], like: str) -> str:
    """The assets of a package with the suffix of another file, one after the other."""
    return "".join(_asset(package, name) for name in assets if Path(name).suffix == Path(like).suffix)


def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy: the page's own style and script, and pictures inside the page."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    sources = (f"style-src 'sha256-{hashes[0]}'", f"script-src 'sha256-{hashes[1]}'")
    return "; ".join(("default-src 'none'", "img-src data:", *sources, "base-uri 'none'", "form-action 'none'"))
