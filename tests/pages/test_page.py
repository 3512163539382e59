import base64
import hashlib
import html
import re
from html.parser import HTMLParser

import pytest

from genkit.errors import RunError
from genkit.pages import page

TEMPLATE = """{% extends "page.html.j2" %}
{% import "parts.html.j2" as parts with context %}
{% block title %}{{ name }}{% endblock %}
{% block header %}<h1>{{ name }}</h1><p title="{{ name }}">x</p>{% endblock %}
{% block content %}{{ parts.commands([name], name) }}{{ parts.table([name], [(name, 1)], name) }}{% endblock %}
"""


@pytest.fixture
def rendered(tmp_path, monkeypatch):
    """`rendered(name)`: a page of a package of its own, in which a name stands in each kind of place."""
    package = tmp_path / "pages_of_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "own.html.j2").write_text(TEMPLATE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda name: page.render("pages_of_a_test", "own.html.j2", name=name, sections=[("a", name)])
    page._environment.cache_clear()


class Elements(HTMLParser):
    """The elements of a page, with the names of their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, [name for name, _ in attrs]))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", '"><b>x</b>', "' onload='x", "</script><script>x"])
def test_text_is_never_markup(rendered, name):
    page = Elements(rendered(name))
    assert page.elements == Elements(rendered("harmless")).elements
    assert page.text.count(name) == Elements(rendered("harmless")).text.count("harmless")


def test_what_hides_or_acts_is_shown_as_escapes(rendered):
    text = Elements(rendered("a\u202eb\x1b[31m\x00\udce9")).text
    assert r"a\u202eb\x1b[31m\x00\udce9" in text
    assert text.encode("utf-8")


def test_only_the_own_script_may_run_and_nothing_is_loaded(rendered):
    text = rendered("x")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src &#39;none&#39;; img-src data:; ")
    for kind, content in (("style", "style"), ("script", "script")):
        (inner,) = re.findall(rf"<{content}>(.*?)</{content}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{kind}-src &#39;sha256-{digest.replace('+', '&#43;')}&#39;" in policy.replace("+", "&#43;")
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_a_page_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="choose a place that can be written"):
        page.write(tmp_path / "file" / "page.html", "x")


def test_a_package_adds_styles_and_scripts_of_its_own_by_their_hash(tmp_path, monkeypatch):
    package = tmp_path / "page_with_assets"
    package.mkdir()
    for name, own in (("own.html.j2", TEMPLATE), ("own.css", ".own { color: red; }"), ("own.js", "own();")):
        (package / name).write_text(own)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    text = page.render("page_with_assets", "own.html.j2", ("own.css", "own.js"), name="x", sections=[])
    for tag, own in (("style", ".own { color: red; }"), ("script", "own();")):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inner.endswith(own)
        assert base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode() in html.unescape(text)
