"""A session of a run: training from where the run stands, and what goes to disk meanwhile."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable

import torch
from torch import nn

from genkit.errors import TrainingError, WeightsError
from genkit.files import atomic, strict_json
from genkit.model.building import build
from genkit.parallel import group, normalization
from genkit.record.run import Run
from genkit.record.scores import Progress
from genkit.record.state import failure_recorded
from genkit.registry.provenance import explained
from genkit.runs.events import Events
from genkit.runs.finishing import finish
from genkit.runs.opening import recorded_plugins
from genkit.runs.saving import Saving
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
    run.model.path = str(run.directory.path.absolute())
    run.data = run.data.to(device)
    group.take_from_leader(run.model.state_dict().values())
    normalization.share_normalization(run.model)
    run.plan = _plan(run, device)
    session = Session(run)
    session.loop.until = until
    done = session.restore()
    first = None if group.answer_of_leader(session.ended(done), device) else done + 1
    group.wait()  # no process writes before all have read
    if not group.is_leader():
        run.history = []
        with own_random_state(), contextlib.suppress(StoppedError):
            run.history.extend(() if first is None else session.loop.run(first))
        group.leave_group()
        return run
    run.history = run.directory.cut_history(done)
    events = Events(run, listeners)
    session.trainer.stops.append(events.should_stop)
    with failure_recorded(run.directory), own_random_state():
        try:
            events.begin()
            whole = session.train(first, events)
            group.leave_group()
            if whole:
                session.settle()
                finish(run, session.keep_fit)
                events.emit("run_ended")
        finally:
            events.emit("run_stopped")
    return run


def _plan(run: Run, device: torch.device) -> Plan:
    training, x = run.config.training, run.data.train.x
    values = min(training.batch_size, len(x)) * math.prod(x.shape[1:])
    passes = training.steps_over(len(x)) * training.accumulate
    return plan(training.compile, run.model, device, passes, values)


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
        self.saving = Saving(run, self.trainer, self.loop)
        self.start = {name: each.state_dict() for name, each in self.trainer.states.items()}
        """The states before the first step."""

    def restore(self) -> int:
        """Take up the checkpoint, if there is one; returns the number of whole epochs done.

        Raises:
            WeightsError: the checkpoint is damaged, or does not fit the model.
        """
        directory = self.run.directory
        try:
            point = checkpoint.read_together(directory.checkpoint, self.loop.device)
            if point is not None:
                checkpoint.restore(point, self.trainer)
                self.saving.place = point.place
        except WeightsError as error:
            raise explained(error, recorded_plugins(directory), directory.path, self.run.config.plugins) from None
        return 0 if point is None else point.epoch

    def ended(self, done: int) -> bool:
        """Whether training ended early after so many whole epochs, at which it stands."""
        return self.run.directory.stopped_after() == done or (self.trainer.stopped and not self.loop.step)

    def settle(self) -> None:
        """Give the model the weights that the run keeps, and record the epoch that they are of."""
        run, best = self.run, self.trainer.best
        self.trainer.settle()
        if best is None or not best.epoch:
            run.directory.kept.unlink(missing_ok=True)
            return
        run.kept = best.epoch
        record = {"epoch": best.epoch, "monitor": best.monitor.figure}
        atomic.write_text(run.directory.kept, strict_json.dumps(record) + "\n")

    def _rewind(self) -> None:
        """Take training back to its checkpoint, or to its start where there is none."""
        self.loop.go_back(0)
        done = self.restore()
        if not self.loop.step:  # a checkpoint within an epoch has a place of its own
            self.loop.go_back(done)
        if group.is_leader() and done < len(self.run.history):  # what is trained again is recorded again
            self.run.history = self.run.directory.cut_history(done)
        if done or self.loop.step:
            return
        with own_random_state():
            seed_everything(self.run.config.seed, 0)
            fresh = build(self.run.config, self.run.data.schema)
        fresh.transforms = self.run.model.transforms  # they are fitted to the data, and not trained
        fresh.encoder_transforms = self.run.model.encoder_transforms
        self.trainer.load_state_dict({"model": fresh.state_dict(), "optimizers": {}, "states": self.start})

    def keep_fit(self) -> None:
        """Write the prior that was fitted after training into the last checkpoint, where all else stays as it is."""
        fitted = {f"prior.{name}": each for name, each in (self.run.model.prior or nn.Module()).state_dict().items()}
        checkpoint.replace(self.run.directory.checkpoint, fitted)

    def train(self, first: int | None, events: Events) -> bool:
        """Train from epoch `first` on, None: no more, and write each epoch's figures before anybody hears of it.

        Returns whether training came to its end.

        A training that is interrupted, or meets what is not finite, leaves a checkpoint where it stands.
        """
        run, saving = self.run, self.saving
        if run.config.init is not None:
            saving.save_start()  # from here on nothing but this file is needed
        if first is not None and first <= run.epochs:
            forget_fit(run.model)
        with contextlib.nullcontext(Signals()) if group.started() else deferred() as signals:
            self.loop.interrupted = lambda: signals.number is not None
            self.loop.between = saving.between if saving.within_epochs else None
            self.loop.report = lambda progress: _report(events, progress)
            try:
                for record in () if first is None else self.loop.run(first):
                    run.directory.append_metrics(record)
                    saving.after(record)
                    run.history.append(record)  # only now, so that the history is what an interruption leaves on disk
                    with self.trainer.judged():
                        events.emit("epoch_ended", record=record)
            except StoppedError:
                saving.save()
            except TrainingError as error:
                raise self._kept(error) from None
            else:
                saving.at_end(trained=first is not None)
        if signals.number is not None:
            end(signals.number)
        if self.loop.reached:
            return False
        stopped_by = events.stopped_by or ("training.stop" if self.trainer.stopped else None)
        if stopped_by is not None and len(run.history) < run.epochs:
            stop = {"epoch": len(run.history), "by": stopped_by}
            atomic.write_text(run.directory.stopped, strict_json.dumps(stop) + "\n")
        return True

    def _kept(self, error: TrainingError) -> TrainingError:
        """The error, with the state that is kept: the last checkpoint's, or that before the first step.

        The state right before a step that is not finite is kept nowhere, because its weights have run away by then.
        """
        directory = self.run.directory
        if not directory.checkpoint.is_file():
            self._rewind()
            self.saving.save()
        done, step = self.saving.place or (0, 0)
        within = f" and {step} steps" if step else ""
        go_on = f"to go on with other options: genkit resume {directory.path} training.optimizer.lr=..."
        return TrainingError(f"{error}; the state after epoch {done}{within} is kept; {go_on}")


def _report(events: Events, progress: Progress) -> None:
    events.emit("step_ended", progress=progress)
