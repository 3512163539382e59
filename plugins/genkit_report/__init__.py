"""Reports: a page in HTML of every run, written at its end, and one of several runs side by side.

`genkit report RUN` writes the page of an older run, `genkit compare A B --out page.html` that of several.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from genkit.errors import GenkitWarning, in_a_line, place
from genkit.registry.hooks import hookimpl

if TYPE_CHECKING:
    from genkit.record.run import Run

FILE = "report.html"


class ReportWriter:
    """A listener that writes the report of one run.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def run_ended(self) -> None:
        """Write the report; one that fails is a warning (GenkitWarning) with the way to write it again."""
        from genkit_report.run_page import write_of

        try:
            write_of(self.run)
        except Exception as error:
            reason = f"{in_a_line(error)}{place(error)}"
            message = f"{FILE} could not be written: {reason}; genkit report {self.run.directory.path} tries it again"
            warnings.warn(message, GenkitWarning, stacklevel=2)


@hookimpl
def listener(run: Run) -> ReportWriter:
    """One listener per run."""
    return ReportWriter(run)
