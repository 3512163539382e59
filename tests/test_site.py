"""The documentation site is whole, can be searched, and loads nothing from elsewhere."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import gallery

ROOT = Path(__file__).parents[1]
LOADED = re.compile(r'<(?:script|img|iframe)[^>]*\bsrc="?([^" >]+)|<link[^>]*rel="?stylesheet"?[^>]*href="?([^" >]+)')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("needs mkdocs-material")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_there_and_can_be_searched(site):
    names = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"gallery", "CHANGELOG"}
    assert all((site / name / "index.html").is_file() for name in names)
    found = {
        entry["location"].partition("/")[0]
        for entry in json.loads((site / "search/search_index.json").read_text())["docs"]
    }
    assert names <= found


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere_and_every_picture_is_there(site):
    for page in site.rglob("*.html"):
        for match in LOADED.finditer(page.read_text(encoding="utf-8")):
            target = match[1] or match[2]
            assert "//" not in target, page
            assert (page.parent / target.partition("?")[0]).is_file() or target.startswith("/"), (page, target)


def test_the_gallery_has_each_example_with_its_command_and_config():
    page = gallery.page()
    for path in (ROOT / "examples").glob("*.yaml"):
        assert f"genkit run {path.stem}\n" in page
        assert f"    name: {path.stem}\n" in page
