"""Put the tables of the committed results into the documents: `python -m benchmarks.report`.

A table stands between `<!-- NAME -->` and `<!-- end -->` and is that of benchmarks/results/NAME.md, its command and
machine included.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.turns import ROOT

RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = (ROOT / "docs" / "speed.md",)
PLACE = re.compile(r"<!-- ([\w-]+) -->\n(.*?)<!-- end -->", re.DOTALL)


def filled(text: str, results: Path = RESULTS) -> str:
    """The text of a document with the tables of the results as they are now."""

    def table(found: re.Match[str]) -> str:
        return f"<!-- {found[1]} -->\n{(results / f'{found[1]}.md').read_text(encoding='utf-8')}<!-- end -->"

    return PLACE.sub(table, text)


def main() -> None:
    """The command."""
    for document in DOCUMENTS:
        document.write_text(filled(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
