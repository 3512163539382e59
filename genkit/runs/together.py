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
from genkit.record.origin import Origin, claim
from genkit.registry.provenance import plugins_of
from genkit.runs.opening import begin, job_of, unfinished_directory
from genkit.runs.threads import Threads, choose, computing_on, recorded_in
from genkit.speed.crowding import waiting_by_load
from genkit.speed.pieces import import_compiler


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
        with computing_on(threads.number), waiting_by_load(device):
            yield messages, threads


def opened(path: str | Path) -> RunDirectory:
    """The directory of a run that goes on, in each of its processes; raises RunError where it is not there."""
    try:
        return RunDirectory.open(path)
    except RunError as error:
        if group.is_leader():
            raise
        remedy = f"put config.yaml of the run into {path} there, or runs on a disk that all machines share"
        raise RunError(f"on {platform.node()} {error}; {remedy}") from None


def _check_same(run_config: RunConfig, model: Model, messages: group.Messages) -> None:
    """Refuse what is not the same in all processes, such as data of other machines; raises RunError in all of them."""
    if not group.started():
        return
    assert model.data is not None
    own = {
        "config": run_config.resolved(),
        "data": [model.data.fingerprint, model.data.counts],
        "plugins": [plugin.model_dump(mode="json") for plugin in plugins_of(run_config)],
        "version of torch": torch.__version__,
        "host": platform.node(),
    }
    first, *others = map(strict_json.loads, messages.gather_texts("same", strict_json.dumps(own)))
    for rank, other in enumerate(others, 1):
        wrong = [name for name in own if name != "host" and other[name] != first[name]]
        if wrong:
            raise RunError(
                f"the {' and the '.join(wrong)} of process {rank}, on {other['host']}, are not those of the first, on "
                f"{first['host']}; start the same command on all machines, with the same files"
            )


@contextlib.contextmanager
def shared_directory(
    run_config: RunConfig, out: Path | None, messages: group.Messages, origin: Origin | None = None
) -> Iterator[RunDirectory]:
    """A new directory for a run, which the leading process locks; the run's earlier one where torchrun starts it again.

    Raises:
        RunError: the directory is taken, or another process sees what the first one should go on with.
    """
    again = "again" in messages.gather_texts("start", "again" if group.restarted() else "first")
    earlier = _earlier(run_config, out, again)
    kept = "" if earlier is None or not earlier.checkpoint.is_file() else f"{platform.node()}: {earlier.path}"
    first, *others = messages.gather_texts("earlier", kept)
    if any(others) and not first:
        raise RunError(
            f"{next(filter(None, others))}: has a checkpoint of this run, and the first process does not see it; put "
            "runs on a disk that all machines share, or keep the first process on its machine, by --node-rank"
        )
    if not group.is_leader():
        yield RunDirectory(Path(messages.broadcast_text("directory", None)))
        return
    with _locked_directory(run_config, out, earlier, origin) as directory:
        messages.broadcast_text("directory", str(directory.path))
        yield directory


def _earlier(run_config: RunConfig, out: Path | None, again: bool) -> RunDirectory | None:
    """The run that torchrun's processes were at before they were started again; None: there is none on this disk."""
    earlier = unfinished_directory(run_config, out) if again or group.job() is not None else None
    return earlier if earlier is not None and (again or job_of(earlier) == group.job()) else None


@contextlib.contextmanager
def _locked_directory(
    run_config: RunConfig, out: Path | None, earlier: RunDirectory | None, origin: Origin | None
) -> Iterator[RunDirectory]:
    directory = earlier or claim(run_config, out, origin)
    with locked(directory.path):
        if earlier is None:
            directory.check_empty()
            begin(directory, run_config, origin)
        yield directory
