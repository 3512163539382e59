"""Discovery of plugins: the entry points of installed distributions, their fit to this genkit, and their isolation."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch
from packaging.requirements import InvalidRequirement, Requirement

from genkit.errors import place
from genkit.registry.entry_points import located
from genkit.registry.selection import FIRST_PARTY, canonical

GROUP = "genkit"
"""The group of the entry points."""


class Offer(NamedTuple):
    """An entry point that names a plugin, before its import."""

    distribution: str
    """The distribution's name, or UNKNOWN where its metadata cannot be read."""
    entry: metadata.EntryPoint
    source: metadata.Distribution

    def misfit(self) -> str | None:
        """Why the plugin does not fit this genkit, by its distribution's requirements; None: nothing speaks against."""
        for text in self.source.requires or []:
            if not canonical(text).startswith(FIRST_PARTY):
                continue
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            if canonical(requirement.name) != FIRST_PARTY:
                continue
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            here = metadata.version(FIRST_PARTY)
            if not requirement.specifier.contains(here, prereleases=True):
                return (
                    f"it needs {FIRST_PARTY}{requirement.specifier}, and this is {here}; pip install --upgrade "
                    f"{self.source.name} {FIRST_PARTY}"
                )
        return None

    def remedy(self, error: BaseException) -> str:
        """The remedy where the entry point names a module or an attribute that its distribution lacks."""
        module, entry = f"{self.entry.module}.", self.entry
        is_missing = isinstance(error, ModuleNotFoundError) and module.startswith(f"{error.name}.")
        if is_missing or (isinstance(error, AttributeError) and not place(error)):
            return (
                f"; mend {entry.name} = {entry.value!r} under [project.entry-points.{GROUP}] in its pyproject.toml, "
                "and install it again"
            )
        return ""


def offers() -> list[Offer]:
    """The offers of all installed distributions, in a fixed order; of two with the same name, the first."""
    earliest: dict[tuple[str, str], Offer] = {}
    for name, entry, source in located(GROUP):
        earliest.setdefault((name, entry.name), Offer(name, entry, source))
    return [earliest[key] for key in sorted(earliest)]


def moved(error: BaseException) -> str:
    """The remedy where a plugin imports what is no part of the interface; empty for other errors."""
    if isinstance(error, ImportError) and f"{error.name}.".startswith("genkit."):
        return "; what plugins import is in genkit, genkit.interfaces and genkit.testing, other modules may have moved"
    return ""


@contextlib.contextmanager
def contained(notes: list[str]) -> Iterator[None]:
    """Contain a plugin's code inside the block, so that it cannot change the state that others compute with.

    Its output goes to stderr, so that programs can read the output of commands. The working directory and torch's
    default type and device are put back, with a note.
    """
    folder, dtype, device = Path.cwd(), torch.get_default_dtype(), torch.get_default_device()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if Path.cwd() != folder:
            notes.append("changed the working directory; it was put back")
            os.chdir(folder)
        if torch.get_default_dtype() != dtype:
            notes.append(f"set torch's default type to {torch.get_default_dtype()}; it was put back")
            torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            notes.append(f"set torch's default device to {torch.get_default_device()}; it was put back")
            torch.set_default_device(None if device.type == "cpu" else device)
