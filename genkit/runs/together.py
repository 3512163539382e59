"""Several processes of one run: how they join, what has to be the same in all, and where the first of them writes."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from pathlib import Path

import torch

from genkit.config import RunConfig
from genkit.errors import RunError
from genkit.files import strict_json
from genkit.files.lock import locked
from genkit.model.model import Model
from genkit.parallel import group
from genkit.parallel.cores import Usage
from genkit.record.directory import RunDirectory
from genkit.registry.provenance import plugins_of
from genkit.runs.opening import begin, unfinished_directory
from genkit.runs.threads import Threads, choose, computing_on, recorded_in
from genkit.speed.pieces import import_compiler

ANEW = "anew: "
"""The start of the leading process's message where it begins a run, though a process of it was started again."""


@contextlib.contextmanager
def joined(
    run_config: RunConfig,
    device: torch.device,
    since: Usage | None,
    model: Model,
    directory: RunDirectory | None = None,
) -> Iterator[tuple[group.Messages, Threads]]:
    """The group of the processes that torchrun started, if it did, and the threads of this one.

    Args:
        run_config: the config of the run.
        device: the device to train on.
        since: the usage of the cores a while ago.
        model: the model, with the signature of its data.
        directory: the directory of a run that goes on; None: the run is new.

    Raises:
        RunError: the config, the data or the code of this process are not those of the first.
    """
    if group.started() and run_config.training.compile is not False:
        import_compiler()
    with group.joined(device) as messages:
        _check_same(run_config, model, messages)
        number = None if directory is None else recorded_in(directory)
        recorded = int(messages.broadcast_text("recorded", str(number or 0) if group.is_leader() else None)) or None
        threads = choose(run_config.training.threads, since, recorded, messages)
        with computing_on(threads.number):
            yield messages, threads


def _check_same(run_config: RunConfig, model: Model, messages: group.Messages) -> None:
    """Refuse what is not the same in all processes, such as data of other machines; raises RunError."""
    if not group.started():
        return
    assert model.data is not None
    own = {
        "config": run_config.resolved(),
        "data": [model.data.fingerprint, model.data.counts],
        "plugins": [plugin.model_dump(mode="json") for plugin in plugins_of(run_config)],
        "version of torch": torch.__version__,
    }
    first = strict_json.loads(messages.broadcast_text("same", strict_json.dumps(own) if group.is_leader() else None))
    other = [name for name, value in strict_json.loads(strict_json.dumps(own)).items() if first.get(name) != value]
    if other:
        raise RunError(
            f"on {platform.node()} the {' and the '.join(other)} of the run are not those of its first process; start "
            "the same command on all machines, with the same files"
        )


@contextlib.contextmanager
def shared_directory(run_config: RunConfig, out: Path | None, messages: group.Messages) -> Iterator[RunDirectory]:
    """A new directory for a run, which the leading process locks; the run's earlier one where torchrun restarts it.

    Raises:
        RunError: the directory is taken, or a process is started again whose first process has lost the run.
    """
    again = "again" in messages.gather_texts("start", "again" if group.restarted() else "first")
    if group.is_leader():
        with _directory(run_config, out, again) as (directory, is_new):
            messages.broadcast_text("directory", f"{ANEW if again and is_new else ''}{directory.path}")
            yield directory
        return
    text = messages.broadcast_text("directory", None)
    if text.startswith(ANEW):
        _check_lost(unfinished_directory(run_config, out), Path(text.removeprefix(ANEW)))
    yield RunDirectory(Path(text.removeprefix(ANEW)))


@contextlib.contextmanager
def _directory(run_config: RunConfig, out: Path | None, again: bool) -> Iterator[tuple[RunDirectory, bool]]:
    """The directory of the run, and whether it is new."""
    earlier = unfinished_directory(run_config, out) if again else None
    directory = earlier or RunDirectory.claim(run_config.name, out)
    with locked(directory.path):
        if earlier is None:
            directory.check_empty()
            begin(directory, run_config)
        yield directory, earlier is None


def _check_lost(here: RunDirectory | None, new: Path) -> None:
    """Refuse to begin anew where this process's disk has the run that the first process should go on with."""
    if here is not None and here.checkpoint.is_file():
        raise RunError(
            f"on {platform.node()} {here.path} has a checkpoint of this run, and the first process, which begins "
            f"{new} anew, does not see it: put runs on a disk that all machines share, or keep the first process where "
            "it was, by --node-rank"
        )
