"""What MkDocs cannot do by itself: the pages that lie outside docs/, the gallery, and links out of the site."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {"index.md": "README.md", **{name: name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}}
"""Pages of the site that lie in the root of the repository."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere, and the results of benchmarks that pages show."""
    from mkdocs.structure.files import File

    from docs import gallery

    for page, source in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "gallery.md", content=gallery.page()))
    for picture in sorted((ROOT / "benchmarks" / "results").glob("*.png")):
        place = f"benchmarks/results/{picture.name}"
        files.append(File.generated(config, place, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files of the repository: to their page of the site, or as plain text where there is none."""
    folder = PurePosixPath() if page.file.src_uri in OUTSIDE else PurePosixPath("docs")

    def linked(match: re.Match[str]) -> str:
        picture, text, target, anchor = match.groups()
        place = _place(folder, target)
        if files.get_file_from_path(place) is None:
            return text
        return f"{picture}[{text}]({place}{anchor or ''})"

    return LINK.sub(linked, markdown)


def _place(folder: PurePosixPath, target: str) -> str:
    """Where the site has a file of the repository."""
    parts: list[str] = []
    for part in (folder / target).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    place = "/".join(parts)
    if place.startswith("examples"):
        return "gallery.md"
    return {source: page for page, source in OUTSIDE.items()}.get(place, place.removeprefix("docs/"))


def on_config(config: MkDocsConfig) -> Any:
    """Let this file import its neighbour."""
    import sys

    sys.path.insert(0, str(ROOT))
    return config
