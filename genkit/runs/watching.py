"""A look from outside at a run that goes on elsewhere: by its directory alone, which is only read."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from genkit.record.diagnosis import Note, diagnose
from genkit.record.directory import RunDirectory
from genkit.record.origin import config_of
from genkit.record.scores import EpochRecord
from genkit.record.signals import Signals
from genkit.record.state import State, Word, state_of
from genkit.runs.display import Pace, Standing

LAST = 5
"""The number of last epochs whose seconds say how long an epoch takes, before two have ended under watch."""


class Watch:
    """What a run's directory says of its training, each time that one looks.

    Args:
        directory: the directory of the run.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.history: list[EpochRecord] = []
        self.state = State(Word.RUNNING)
        self.pace = Pace()
        self.changed = 0.0
        """When the last epoch was recorded, in seconds since 1970."""
        self._read = 0
        """How many bytes of the file of metrics are read."""
        self._last = b""
        """The last line of them: where it is another one now, the file was written anew."""
        self._training: Mapping[str, Any] = {}

    def look(self) -> list[EpochRecord]:
        """Read what is new; returns the records of the epochs that ended since.

        Raises:
            RunError: the file of metrics is damaged.
            ConfigError: the config is.
        """
        state = state_of(self.directory)  # before the epochs, so that none comes after it
        records = self._new_records()
        if not self._training or state.word != self.state.word:
            training = config_of(self.directory).values.get("training")
            self._training = training if isinstance(training, Mapping) else {}
        self.state = state
        if records:
            self.pace.add(self.changed, records[-1].epoch)
        return records

    def _new_records(self) -> list[EpochRecord]:
        """The records of the lines that came since the last look; a file that was written anew is read as a whole."""
        try:
            with self.directory.metrics.open("rb") as stream:
                status = os.fstat(stream.fileno())
                stream.seek(self._read - len(self._last))
                if stream.read(len(self._last)) != self._last:
                    self.history, self._read, self._last = [], 0, b""
                    stream.seek(0)
                text = stream.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]  # the last line may be half written
        self._read, self.changed = self._read + len(whole), status.st_mtime
        if whole:
            self._last = whole.splitlines(keepends=True)[-1]
        records = [self.directory.record_of(line) for line in whole.decode("utf-8", "replace").splitlines()]
        self.history += records
        return records

    @property
    def epochs(self) -> int | None:
        """The number of epochs of the whole training; None: it is given in steps, and no epoch has ended."""
        return self._epochs(self.history)

    def _epochs(self, history: Sequence[EpochRecord]) -> int | None:
        epochs, steps = self._training.get("epochs"), self._training.get("steps")
        if isinstance(epochs, int):
            return epochs
        if not isinstance(steps, int) or not history:
            return None
        return math.ceil(steps * history[0].epoch / history[0].steps)

    def standing(self, now: float) -> Standing:
        """Where the training stands at the time `now`, in seconds since 1970; within an epoch it is an estimate."""
        history = tuple(self.history)  # it may grow in another thread
        name, epochs = self.directory.path.absolute().name, self._epochs(history)
        if not history:
            return Standing(name, epochs, state=self._stage(history, epochs))
        last, seconds = history[-1], fmean(record.seconds for record in history[-LAST:])
        since = max(0.0, now - self.changed)
        left = None if epochs is None else self.pace.left(now, epochs)
        if left is None and epochs is not None:
            left = max(0.0, seconds * (epochs - last.epoch) - since)
        is_within = self.state.word == Word.RUNNING and last.epoch != epochs
        done = last.epoch + (min(0.99, since / seconds) if is_within and seconds > 0 else 0.0)
        scores, rate, stage = last.train, last.examples_per_second, self._stage(history, epochs)
        return Standing(name, epochs, history, done, scores, last.weights, rate, left, state=stage)

    def _stage(self, history: Sequence[EpochRecord], epochs: int | None) -> str:
        """What the run does beside training; empty: it trains."""
        if self.state.word != Word.RUNNING:
            return str(self.state.word)
        if not history:
            return "in its first epoch"
        return "figures and pictures" if history[-1].epoch == epochs else ""

    def last_epoch(self, now: float) -> Standing:
        """Where the training stood as its last epoch ended, with the time left at the time `now`."""
        standing = self.standing(now)
        return replace(standing, done=self.history[-1].epoch - 1, state="")

    def notes(self) -> list[Note]:
        """What the rules say of a training that goes on."""
        return diagnose(Signals(self.history, keeps_best=self._training.get("keep") == "best"), during=True)
