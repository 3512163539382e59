"""Epochs made of training steps, and the place at which training stands."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NoReturn

import torch

from genkit.data.dataset import Batch, Dataset
from genkit.errors import TrainingError
from genkit.interfaces import Follower
from genkit.parallel.group import count
from genkit.record.scores import EpochRecord, Progress
from genkit.record.totals import Figures, Total
from genkit.training.finite import Fleeting, Inspector, NotFiniteError, bad_parameters, figures_of, not_finite
from genkit.training.guards import check_epoch, check_finite
from genkit.training.seeds import random_state, seed_everything, set_random_state
from genkit.training.trainer import Trainer

SECONDS_BETWEEN_REPORTS = 0.1
MOST_ATTEMPTS = 3
"""How often a training that is not finite is taken back and tried with other draws."""


class StoppedError(Exception):
    """Training was asked to end, and stands between two steps."""


def fit(
    trainer: Trainer,
    data: Dataset,
    seed: int,
    first: int = 1,
    report: Callable[[Progress], None] = lambda _: None,
) -> Iterator[EpochRecord]:
    """Train from epoch `first` on, and yield the record of each epoch, until the trainer should stop.

    `report` is called several times per second with the progress within the epoch.

    Raises:
        TrainingError: a term is no longer finite.
    """
    return Loop(trainer, data, seed, report).run(first)


class Loop:
    """The loop over epochs and steps. Its state goes into checkpoints, so that it can go on within an epoch.

    Args:
        trainer: the trainer; it gets the loop as its state `loop`.
        data: the data, on the trainer's device.
        seed: the seed of the run.
        report: called several times per second with the progress within the epoch.
        interrupted: asked after each step whether training has to end there.
        rewind: takes the trainer, this loop included, back to its last good state; None: it cannot go back.
    """

    def __init__(
        self,
        trainer: Trainer,
        data: Dataset,
        seed: int,
        report: Callable[[Progress], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
        rewind: Callable[[], None] | None = None,
    ) -> None:
        self.trainer, self.data, self.seed = trainer, data, seed
        self.report, self.interrupted, self.rewind = report, interrupted, rewind
        self.epoch = 1
        """The epoch that runs or comes next."""
        self.until: tuple[int, int] | None = None
        """Whole epochs and further steps after which training is left; None: it goes to its end."""
        self.attempt = 0
        """How often training was taken back."""
        self.size, self.device = trainer.config.batch_size, trainer.model.device
        self.accumulate = trainer.config.accumulate
        self.between: Callable[[], None] | None = None
        """A function to call after each step within an epoch, once the place within it can be saved."""
        self.steps = trainer.config.steps_per_epoch(len(data.train.x))
        """The number of steps in a whole epoch."""
        self.epochs = trainer.config.epochs_over(len(data.train.x))
        """The number of epochs, of which the last may be cut."""
        self.most = trainer.config.steps_over(len(data.train.x))
        """The number of steps in all epochs."""
        self.followers = [part for part in trainer.model.parts.values() if isinstance(part, Follower)]
        """The parts that follow training step by step."""
        self._random: Mapping[str, Any] | None = None
        self._start_epoch(1)
        trainer.states["loop"] = self

    def _start_epoch(self, epoch: int) -> None:
        self.epoch, self.step, self.left_out, self.seconds = epoch, 0, 0, 0.0
        self.total = Total(self.trainer.model.sum_dtype)

    @property
    def done(self) -> int:
        """The number of steps since the start of the run."""
        return (self.epoch - 1) * self.steps + self.step

    @property
    def end(self) -> int:
        """The number of steps in the epoch that runs: fewer than in a whole one where the last epoch is cut."""
        return min(self.steps, self.most - (self.epoch - 1) * self.steps)

    def go_back(self, done: int) -> None:
        """Stand after `done` whole epochs."""
        self._start_epoch(done + 1)

    def run(self, first: int) -> Iterator[EpochRecord]:
        """Train from epoch `first` on, or from the place within it that was restored.

        Raises:
            TrainingError: a term or a gradient is not finite, and `training.on_nonfinite` says to stop.
            StoppedError: training was asked to end; it stands between two steps.
        """
        if self.epoch != first:
            self._start_epoch(first)
        while self.epoch <= self.epochs:
            record = self._finite_epoch()
            self.trainer.end_epoch(record)
            self._start_epoch(self.epoch + 1)
            yield record
            if self.reached:
                raise StoppedError
            if self.trainer.should_stop(record):
                return

    def _finite_epoch(self) -> EpochRecord:
        """An epoch; where something is not finite, the last good state is taken up, and each step is looked at."""
        trainer = self.trainer
        while True:
            try:
                record = self._epoch()
                if bad := not_finite(figures_of(record.train)) | bad_parameters(trainer.model):
                    raise NotFiniteError(bad)
                check_epoch(record, trainer.model, self.data)
                return record
            except NotFiniteError as error:
                looked = trainer.inspect is not None
                again = trainer.config.on_nonfinite == "rollback" and self.attempt < MOST_ATTEMPTS
                if self.rewind is None or (looked and not again):
                    self._refuse(error)
                attempt = self.attempt + looked
                self._start_epoch(self.epoch)
                self.rewind()
                self.attempt = attempt
                trainer.inspect = None if looked else self._inspector()

    def _inspector(self) -> Inspector:
        optimization = self.trainer.optimization
        return Inspector(self.trainer.model, optimization.parameters, gradients=optimization.scaler is None)

    def _refuse(self, error: NotFiniteError) -> NoReturn:
        """Raise a TrainingError with the place, what is not finite, and the likely cause."""
        looked = self.trainer.inspect is not None
        place = f"epoch {self.epoch}" + (f", step {self.step + 1} of {self.steps}" if looked else "")
        if error.norm is not None:
            place += f" (the gradients of the step before have norm {error.norm:.3g})"
        check_finite(error.figures or {"a term": math.nan}, place, self.trainer.model, self.data)
        raise AssertionError("what is not finite is refused") from error

    def _epoch(self) -> EpochRecord:
        """The steps of the epoch that are not done yet, and its record."""
        trainer, total = self.trainer, self.total
        order = self._order()
        moments = [self.epoch - 1 + step / self.steps for step in range(self.end)]
        rows = [trainer.weights_at(moment) for moment in moments]
        weights = torch.tensor([list(row.values()) for row in rows], device=self.device)
        trainer.model.train()
        start, reported = time.perf_counter() - self.seconds, time.perf_counter()
        rest = order[self.step * self.size * self.accumulate :]
        batches = self.data.batches(self.data.train, self.size, rest, names=trainer.model.reads)
        while self.step < len(moments):
            trainer.set_rates(moments[self.step])
            self._take(batches, weights[self.step])
            now = time.perf_counter()
            self.seconds = now - start
            if now - reported > SECONDS_BETWEEN_REPORTS:
                reported = now
                self._report(rows[self.step - 1])
            if self.step < self.steps:
                if self.between is not None:
                    self.between()
                if self.reached or self.interrupted():
                    raise StoppedError
        total.gather()
        return self._record(rows[-1], trainer.set_rates(moments[-1]))

    @property
    def reached(self) -> bool:
        """Whether training stands where it is to be left."""
        return self.until == (self.epoch - 1, self.step)

    def _order(self) -> torch.Tensor:
        """The order of the data in this epoch; afterwards the random state is that of the next step."""
        seed_everything(self.seed, self.epoch, self.attempt)
        order = self.data.order()
        if self._random is not None:
            set_random_state(self._random, self.device)
            self._random = None
        return order

    def _take(self, batches: Iterator[Batch], weights: torch.Tensor) -> None:
        """One step; with an inspector, one that is not finite leaves nothing behind, or raises NotFiniteError."""
        trainer, total = self.trainer, self.total
        before = None if trainer.inspect is None else Fleeting(trainer.model)
        trainer.taken = self.done
        try:
            figures, size = self._step(batches, weights)
        except NotFiniteError:
            assert before is not None
            before.restore(random=trainer.config.on_nonfinite != "skip")
            if trainer.config.on_nonfinite != "skip":
                raise
            self.left_out += 1
        else:
            total.add(figures, size)
            if not total.pending and count() == 1 and not total.finite:
                raise NotFiniteError({})
        self.step += 1
        if self.followers:
            self._follow()

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the parts that follow training know of a step that is done."""
        for part in self.followers:
            part.stepped(self.trainer.taken, self.epoch - 1 + self.step / self.steps)

    def _step(self, batches: Iterator[Batch], weights: torch.Tensor) -> tuple[Figures, int]:
        """A step of the trainer with the batches that it takes; the figures, and the number of their data."""
        if self.accumulate == 1:
            batch = next(batches)
            return self.trainer.step(batch.x, weights, batch.total, batch.side), batch.total
        several = list(islice(batches, self.accumulate))
        return self.trainer.step_over(several, weights), sum(batch.total for batch in several)

    def _report(self, weights: dict[str, float]) -> None:
        if self.total.count == 0:
            return
        rate, scores = self.total.count / self.seconds, self.total.so_far(weights)
        self.report(Progress(self.epoch, self.epochs, self.step, self.steps, rate, weights, scores))

    def _record(self, weights: dict[str, float], lr: float) -> EpochRecord:
        if self.total.count == 0:
            raise TrainingError(f"epoch {self.epoch}: every step was left out: none is finite; lower the learning rate")
        train, n = self.total.scores(weights), min(len(self.data.train.x), self.end * self.size * self.accumulate)
        held_out = self.data.validation
        validation = None if held_out is None else self.trainer.evaluate(self.data, held_out, weights)
        seconds = self.seconds
        return EpochRecord(self.epoch, self.done, seconds, n / seconds, lr, weights, train, validation, self.left_out)

    @property
    def finite(self) -> bool:
        """Whether the figures so far, and the parameters, are finite: what a checkpoint within an epoch has to be."""
        figures = figures_of(self.total.so_far(dict.fromkeys(self.trainer.weights, 1.0))) if self.total.count else {}
        return not not_finite(figures) and not bad_parameters(self.trainer.model)

    def state_dict(self) -> dict[str, Any]:
        """The place within an epoch, with the random state there; between epochs, the number of attempts alone."""
        if self.step == 0:
            return {"attempt": self.attempt}
        place = {"epoch": self.epoch, "step": self.step, "left_out": self.left_out, "seconds": self.seconds}
        random = {f"random/{name}": value for name, value in random_state(self.device).items()}
        total = {f"total/{name}": value for name, value in self.total.state_dict().items()}
        return {"attempt": self.attempt, **place, **random, **total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`; raises ValueError where its place is none in this training."""
        self.attempt = _among(state["attempt"], MOST_ATTEMPTS)
        if "step" not in state:
            return
        self._start_epoch(_among(state["epoch"], self.epochs))
        self.step, self.seconds = _among(state["step"], min(self.end, self.steps - 1)), float(state["seconds"])
        self.left_out = _among(state["left_out"], self.step)
        self._random = _below(state, "random/")
        self.total.load_state_dict(_below(state, "total/"), self.device)


def _among(number: Any, most: int) -> int:
    """A whole number from 0 to `most`; raises ValueError for anything else."""
    if type(number) is not int or not 0 <= number <= most:
        raise ValueError(f"{number!r} is no number from 0 to {most}")
    return number


def _below(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
