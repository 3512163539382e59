"""A search: trials that Optuna chooses by the results so far, in a journal that processes and machines share."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, final

from genkit.errors import ConfigError, RunError
from genkit_sweep.axes import SEED, Axis, Range
from genkit_sweep.directory import Plan, Result, SweepDirectory, turn
from genkit_sweep.trials import Trial, Trials, claimed, failed, retried, trial_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

ASSIGNMENTS = "assignments"
"""The attribute of a trial of Optuna's that holds its options as text."""
NAME = "sweep"


def check_axes(axes: Sequence[Axis], log: Sequence[str]) -> None:
    """Refuse axes that no search can have; raises ConfigError."""
    varying = {axis.key: axis for axis in axes if axis.varies}
    if not varying:
        raise ConfigError(
            "--search: no option varies; give one several values or a range, such as sampler.latent=2..32"
        )
    if SEED in varying:
        raise ConfigError(
            "seed: a search would choose the luckiest seed; give one seed here, and try the best options with several "
            "seeds in a grid"
        )
    for key in log:
        axis = varying.get(key)
        ranges = [item for item in axis.items if isinstance(item, Range)] if axis is not None else []
        if len(ranges) != 1 or len(axis.items if axis else ()) != 1:
            raise ConfigError(f"--log {key}: is for an option with one range, such as {key}=1e-4..1e-2")
        if ranges[0].low <= 0:
            raise ConfigError(f"--log {key}: a logarithmic scale begins above 0, and not at {ranges[0].low:g}")


@final
class Search(Trials):
    """Trials by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS).

    Args:
        directory: the directory of the sweep.
        plan: its plan, with a number of runs.
        axes: the options.
        cost: takes a result and gives the number that the search makes small; None: it has none.
    """

    def __init__(
        self, directory: SweepDirectory, plan: Plan, axes: Sequence[Axis], cost: Callable[[Result], float | None]
    ) -> None:
        super().__init__(directory)
        self.plan, self.axes, self.cost = plan, axes, cost
        self.varying = [axis.key for axis in axes if axis.varies]
        self.study = _study(directory)

    @property
    def count(self) -> int:
        """The number of runs that the search is to have."""
        return self.plan.search or 0

    @property
    def are_over(self) -> bool:
        """Whether so many runs have a result."""
        return len(self._numbers()) >= self.count and not self._unfinished()

    def _numbers(self) -> list[int]:
        """The numbers of the runs that count: all but those in whose place others run."""
        again = {result.number for result in self.directory.results() if result.state == "retried"}
        each = self.study.get_trials(deepcopy=False)
        return [trial.number + 1 for trial in each if ASSIGNMENTS in trial.user_attrs and trial.number + 1 not in again]

    def _unfinished(self) -> list[FrozenTrial]:
        over = self.directory.numbers()
        return [
            trial
            for trial in self.study.get_trials(deepcopy=False)
            if ASSIGNMENTS in trial.user_attrs and trial.number + 1 not in over
        ]

    def take(self, claims: contextlib.ExitStack) -> Trial | None:
        """A trial that a process left when it was killed, else a new one, claimed; None: there is none now."""
        with self._turn():
            for trial in self._unfinished():
                if claimed(self.directory, trial.number + 1, claims):
                    return trial_of(trial.number + 1, trial.user_attrs[ASSIGNMENTS], self.varying)
            if len(self._numbers()) >= self.count:
                return None
            return self._new(claims)

    def _new(self, claims: contextlib.ExitStack) -> Trial | None:
        trial = self.study.ask()
        self.study.sampler = _sampler(self.plan.seed + trial.number)  # whichever process asks, it draws the same
        assignments = [f"{axis.key}={self._value(trial, axis)}" for axis in self.axes]
        number = trial.number + 1
        if not claimed(self.directory, number, claims):
            raise RunError(f"{self.directory.path}: run {number} is there before the search chose it; begin another")
        trial.set_user_attr(ASSIGNMENTS, assignments)
        return trial_of(number, assignments, self.varying)

    def _value(self, trial: Any, axis: Axis) -> str:
        """The value that a trial has on an axis, as text."""
        item = axis.items[0]
        if len(axis.items) > 1 or not isinstance(item, Range):
            values = axis.values()
            return str(trial.suggest_categorical(axis.key, values)) if axis.varies else values[0]
        log = axis.key in self.plan.log
        if item.is_whole:
            return str(trial.suggest_int(axis.key, int(item.low), int(item.high), log=log))
        return repr(trial.suggest_float(axis.key, item.low, item.high, log=log))

    def end(self, trial: Trial, result: Result) -> None:
        """Tell the study; a run that failed, or has no figure that ranks, is a failed trial there."""
        import optuna

        cost = self.cost(result) if result.state == "done" else None
        state = optuna.trial.TrialState.FAIL if cost is None else optuna.trial.TrialState.COMPLETE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.study.tell(trial.number - 1, cost, state=state, skip_if_finished=True)

    def settle(self) -> None:
        """Tell the study of what killed processes left: results, and trials without options."""
        from optuna.trial import TrialState

        with self._turn():
            over = self.directory.numbers()
            for each in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if ASSIGNMENTS not in each.user_attrs:
                    self.study.tell(each.number, state=TrialState.FAIL)
                elif each.number + 1 in over:
                    trial = trial_of(each.number + 1, each.user_attrs[ASSIGNMENTS], self.varying)
                    self.end(trial, self.directory.result(trial.number))

    def retry(self) -> int:
        """Let new trials have the options of those that failed; returns their number."""
        with self._turn():
            results = list(failed(self.directory))
            each = {trial.number + 1: trial for trial in self.study.get_trials(deepcopy=False)}
            for result in results:
                self.study.enqueue_trial(each[result.number].params)
                self.directory.record(retried(result))
        return len(results)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one process ask at a time, so that no two take the same trial, and no trial too many is asked for."""
        folder = self.directory.path / "claims"
        folder.mkdir(exist_ok=True)
        with turn(folder):
            yield


def _study(directory: SweepDirectory) -> Study:
    """The study of a sweep; raises RunError where Optuna is not installed."""
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise RunError("--search needs optuna; pip install 'genkit-torch[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(directory.study)))
    return optuna.create_study(storage=storage, study_name=NAME, direction="minimize", load_if_exists=True)


def _sampler(seed: int) -> Any:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that constant_liar is experimental
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
