"""The page: one template, one style and one script, either with a server behind it or whole in one file."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

SCRIPT, STYLE, TEMPLATE = "explore.js", "explore.css", "explore.html.j2"


@cache
def text_of(name: str) -> str:
    """A file of this package."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def page(space: dict[str, Any], whole: bool) -> str:
    """The HTML of the page.

    Args:
        space: what the page has to know, as JSON.
        whole: whether style and script are in it, so that it works from a file.
    """
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text_of(TEMPLATE))
    style, script = text_of(STYLE), text_of(SCRIPT)
    return template.render(
        name=space["name"],
        space=embedded(space),
        style=Markup(style) if whole else None,
        script=Markup(script) if whole else None,
        policy=policy(f"'{hash_of(style)}'", f"'{hash_of(script)}'", "'none'") if whole else None,
    )


def embedded(values: Any) -> Markup:
    """Values as JSON that can stand in a page: no text in them ends its element or begins another."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def policy(style: str = "'self'", script: str = "'self'", connect: str = "'self'") -> str:
    """The content security policy of the page: it loads nothing from elsewhere, and runs no other script."""
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; connect-src {connect}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def hash_of(text: str) -> str:
    """A style or a script by its hash, as a policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
