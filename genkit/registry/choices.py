"""The components for a run that trains: every plugin in one file that its config names has to be there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from genkit.errors import ComponentError
from genkit.registry.parts import Parts
from genkit.registry.registry import installed, registry


def complete(wanted: str | Iterable[str]) -> Parts:
    """As `installed`, for a run that trains; raises ComponentError too where a file that it names may not run."""
    view = installed(wanted)
    if view.unavailable:
        raise ComponentError(*view.unavailable)
    return view


def installed_with_files(wanted: str | Iterable[str], folder: Path) -> Parts:
    """As `complete`, for a choice that the user hands over: the files that it names in `folder` run."""
    return complete(registry().files.handed_over(wanted, folder, "plugins"))
