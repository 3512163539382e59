"""The model and the data of a command, with a line where they are others than those of the training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from genkit.cli.app import say

if TYPE_CHECKING:
    from genkit.runs.new_data import Reopened


def opened(run: Path, overrides: Iterable[str] | None, split: str | None, accept_changes: bool) -> Reopened:
    """A trained model, its data, and the split to take; a line on stderr says where all of a new file are taken.

    Args:
        run: the run, or the model file.
        overrides: options of the data that replace the run's.
        split: the split that is asked for; None: the usual one.
        accept_changes: whether data that changed since training are accepted.
    """
    from genkit.runs.new_data import reopen_split

    reopened = reopen_split(run, overrides or (), split, accept_changes)
    if reopened.are_new and reopened.data.shape == reopened.model.shape:  # others are refused
        count = len(reopened.data.split(reopened.split).x)
        say(f"other data than those of the training: all {count:,} of them are taken; --split chooses some", error=True)
    return reopened
