"""Tables of the committed results in the documents, which `python -m benchmarks.report` updates.

A table is between `<!-- NAME -->` and `<!-- end -->`: the text of benchmarks/results/NAME.md, with command and
machine.
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

    def table(place: re.Match[str]) -> str:
        return f"<!-- {place[1]} -->\n{(results / f'{place[1]}.md').read_text(encoding='utf-8')}<!-- end -->"

    return PLACE.sub(table, text)


def main() -> None:
    """The command."""
    for document in DOCUMENTS:
        document.write_text(filled(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
