"""A session of a run: training from where the run stands, and what goes to disk meanwhile."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable

import torch

from genkit.errors import TrainingError, WeightsError
from genkit.files import atomic, strict_json
from genkit.model.building import build
from genkit.parallel import group, normalization
from genkit.record.run import Run
from genkit.record.scores import Progress
from genkit.registry.provenance import explained
from genkit.runs.events import Events
from genkit.runs.finishing import finish
from genkit.runs.opening import recorded_plugins
from genkit.sharing import weights
from genkit.speed.compiled import Plan, plan
from genkit.training import checkpoint
from genkit.training.epochs import Loop, StoppedError
from genkit.training.fitting import forget_fit
from genkit.training.seeds import own_random_state, seed_everything
from genkit.training.signals import Signals, deferred, end
from genkit.training.trainer import Trainer


def train(run: Run, device: torch.device, listeners: Iterable[object], until: tuple[int, int] | None = None) -> Run:
    """Train from where the run stands to its end, and go through the stages after it.

    Args:
        run: the run, with fresh weights.
        device: the device to train on.
        listeners: the caller's listeners.
        until: whole epochs and further steps after which training is left; None: it goes to its end.
    """
    run.model.to(device)
    run.data = run.data.to(device)
    normalization.share_normalization(run.model)
    run.plan = _plan(run, device)
    session = Session(run)
    session.loop.until = until
    done = session.restore()
    first = done + 1 if run.directory.stopped_after() != done else run.config.training.epochs + 1
    group.wait()  # no process writes before all have read
    if not group.is_leader():
        with own_random_state():
            run.history = list(session.loop.run(first))
        group.leave_group()
        return run
    run.history = run.directory.cut_history(done)
    events = Events(run, listeners)
    session.trainer.stops.append(events.should_stop)
    with own_random_state():
        try:
            events.begin()
            whole = session.train(first, events)
            group.leave_group()
            if whole:
                finish(run, session.keep)
                events.emit("run_ended")
        finally:
            events.emit("run_stopped")
    return run


def _plan(run: Run, device: torch.device) -> Plan:
    training, x = run.config.training, run.data.train.x
    size = min(training.batch_size, len(x))
    steps = training.epochs * math.ceil(len(x) / size)
    return plan(training.compile, run.model, device, steps, size * math.prod(x.shape[1:]))


class Session:
    """The trainer of a run, and its loop.

    Args:
        run: the run, on its device and with a plan.
    """

    def __init__(self, run: Run) -> None:
        assert run.plan is not None
        self.run = run
        self.trainer = Trainer(run.model, run.config.training, run.plan.compiled)
        self.loop = Loop(self.trainer, run.data, run.config.seed, rewind=self._rewind)

    def restore(self) -> int:
        """Take up the checkpoint, if there is one; returns the number of whole epochs done.

        Raises:
            WeightsError: the checkpoint is damaged, or does not fit the model.
        """
        directory = self.run.directory
        try:
            point = checkpoint.read(directory.checkpoint)
            if point is not None:
                checkpoint.restore(point, self.trainer)
        except WeightsError as error:
            raise explained(error, recorded_plugins(directory), directory.path, self.run.config.plugins) from None
        return 0 if point is None else point.epoch

    def _rewind(self) -> None:
        """Take training back to its checkpoint, or to its start where there is none."""
        if self.restore() or self.loop.step:
            return
        with own_random_state():
            seed_everything(self.run.config.seed, 0)
            fresh = build(self.run.config, self.run.data.schema)
        fresh.transforms = self.run.model.transforms  # they are fitted to the data, and not trained
        self.trainer.load_state_dict({"model": fresh.state_dict(), "optimizers": {}, "states": {}})

    def keep(self) -> None:
        """Write a checkpoint of where the training stands after whole epochs."""
        metadata = {weights.KEY: weights.header_text(self.run.model)}
        checkpoint.save(self.run.directory.checkpoint, self.trainer, len(self.run.history), metadata)

    def train(self, first: int, events: Events) -> bool:
        """Train from epoch `first` on, and write each epoch's figures and checkpoint before anybody hears of it.

        Returns whether training came to its end.

        A training that is interrupted, or meets what is not finite, leaves a checkpoint where it stands.
        """
        run = self.run
        if first <= run.config.training.epochs:
            forget_fit(run.model)
        metadata = {weights.KEY: weights.header_text(run.model)}
        with contextlib.nullcontext(Signals()) if group.started() else deferred() as signals:
            self.loop.interrupted = lambda: signals.number is not None
            self.loop.report = lambda progress: _report(events, progress)
            try:
                for record in self.loop.run(first):
                    run.directory.append_metrics(record)
                    checkpoint.save(run.directory.checkpoint, self.trainer, record.epoch, metadata)
                    run.history.append(record)  # only now, so that the history is what an interruption leaves on disk
                    events.emit("epoch_ended", record=record)
            except StoppedError:
                if self.loop.step:
                    checkpoint.save(run.directory.checkpoint, self.trainer, len(run.history), metadata)
            except TrainingError as error:
                raise self._kept(error, metadata) from None
        if signals.number is not None:
            end(signals.number)
        if self.loop.reached:
            return False
        if events.stopped_by is not None and len(run.history) < run.config.training.epochs:
            stop = {"epoch": len(run.history), "by": events.stopped_by}
            atomic.write_text(run.directory.stopped, strict_json.dumps(stop) + "\n")
        return True

    def _kept(self, error: TrainingError, metadata: dict[str, str]) -> TrainingError:
        """The error, with the state that is kept: the last checkpoint's, or that before the first step.

        The state right before a step that is not finite is kept nowhere, because its weights have run away by then.
        """
        directory, done = self.run.directory, len(self.run.history)
        if not directory.checkpoint.is_file():
            self._rewind()
            checkpoint.save(directory.checkpoint, self.trainer, done, metadata)
        go_on = f"to go on with other options: genkit resume {directory.path} training.optimizer.lr=..."
        return TrainingError(f"{error}; the state after epoch {done} is kept; {go_on}")


def _report(events: Events, progress: Progress) -> None:
    events.emit("step_ended", progress=progress)
