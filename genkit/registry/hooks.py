"""The hooks that a plugin may implement: one that brings components, five that follow a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from genkit.interfaces import Component
    from genkit.record.run import Run
    from genkit.record.scores import EpochRecord, Progress

hookspec = pluggy.HookspecMarker("genkit")
hookimpl = pluggy.HookimplMarker("genkit")


@hookspec
def components() -> Iterable[type[Component]]:  # type: ignore[empty-body]
    """The component classes that the plugin brings."""


@hookspec
def run_started(run: Run) -> None:
    """The model is built and the data are loaded; `run.history` holds earlier epochs if the run is resumed."""


@hookspec
def step_ended(run: Run, progress: Progress) -> None:
    """Some steps of an epoch are done. Called a few times a second, not at each step."""


@hookspec
def epoch_ended(run: Run, record: EpochRecord) -> None:
    """An epoch is done and its figures are known."""


@hookspec
def run_ended(run: Run) -> None:
    """Training is over: the weights are saved and `run.evaluation` holds the figures of the test split."""


@hookspec
def run_stopped(run: Run) -> None:
    """The run is finished, interrupted or failed: let go of what is held open."""
