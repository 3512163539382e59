"""The figures of a sweep: those of each run on held-out data, and the one that ranks the runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from genkit.config import RunConfig
from genkit.errors import ConfigError, MetricError, RunError
from genkit.evaluation.descriptions import descriptions
from genkit.evaluation.figures import Evaluation
from genkit.evaluation.metrics import descriptions as of_metrics
from genkit.files import strict_json
from genkit.interfaces import Description
from genkit.interfaces.metric import NATS
from genkit.record.directory import RunDirectory
from genkit.record.signals import Signals
from genkit.runs.metrics import chosen
from genkit.settings.base import nearest
from genkit_sweep.directory import Result

Better = Literal["lower", "higher"]
LOSS = Description(
    "loss",
    NATS,
    "lower",
    "The sum of the terms that have no critic, with their last weights.",
    ",.2f",
)
ELBO, PLAIN_LOSS = "elbo", "loss"
BY = "choose a figure with --by"
METRICS = "metrics."


class Ranking(NamedTuple):
    """The figure that ranks runs, of the validation data."""

    key: str
    better: Better
    about: Description
    doubt: str = ""
    """Why it ranks nothing; empty: it does."""

    @property
    def sign(self) -> float:
        """The factor that makes it a cost: the lower, the better."""
        return 1.0 if self.better == "lower" else -1.0

    def value(self, result: Result) -> float | None:
        """The figure of a run; None: it has none, or it is in units of its own, which rank nothing."""
        if self.doubt or ("validation" in result.units and self.about.of_density):
            return None
        return result.figures.get(f"validation.{self.key}")


def described(config: RunConfig, metric: str | None = None) -> dict[str, Description]:
    """The descriptions of the figures that runs of a config have, by key.

    Args:
        config: the config.
        metric: the name of a metric beside those of the config; None: none.
    """
    metrics = chosen(config, config.metrics, () if metric is None else (metric,))
    return {PLAIN_LOSS: LOSS, **descriptions(Evaluation), **of_metrics(metrics)}


def ranking(by: str | None, config: RunConfig, results: Sequence[Result] = ()) -> Ranking:
    """The figure that ranks the runs of a sweep.

    Args:
        by: `KEY`, or `KEY:lower` and `KEY:higher`; None: the ELBO, or the loss where no run that is done has an ELBO.
        config: the config of one of the runs.
        results: the results so far.

    Raises:
        ConfigError: there is no such figure, or it has no direction of its own and none is said.
    """
    if by is None:
        return _usual([result for result in results if result.state == "done"])
    name, _, direction = by.partition(":")
    metric = metric_of(by, config)
    about = described(config, metric)
    key = _key(name, about)
    if direction not in ("", "lower", "higher"):
        raise ConfigError(f"--by {by}: the direction is lower or higher, not '{direction}'")
    better: Any = direction or about[key].better
    if better is None:
        raise ConfigError(f"--by {by}: neither direction is better in itself; write {name}:lower or {name}:higher")
    return Ranking(key, better, about[key])


def _usual(done: Sequence[Result]) -> Ranking:
    """The ELBO, or the loss where no run has an ELBO; neither ranks runs of which some have one, or of other losses."""
    elbo = Ranking(ELBO, "higher", descriptions(Evaluation)[ELBO])
    count = sum(elbo.value(result) is not None for result in done)
    if count == len(done):
        return elbo
    if count:
        return elbo._replace(doubt=f"some runs have no ELBO; {BY}")
    losses = {tuple(item for item in result.options.items() if item[0].partition(".")[0] == "loss") for result in done}
    doubt = "" if len(losses) == 1 else f"the runs have no ELBO, and their losses differ; {BY}"
    return Ranking(PLAIN_LOSS, "lower", LOSS, doubt)


def metric_of(by: str | None, config: RunConfig) -> str | None:
    """The metric that a figure needs beside those of the config; None: it needs none."""
    name = (by or "").partition(":")[0].removeprefix(METRICS).partition(".")[0]
    if not name or name in {PLAIN_LOSS, *descriptions(Evaluation)} or name in {one.name for one in config.metrics}:
        return None
    try:
        chosen(config, (), (name,))
    except (ConfigError, MetricError):
        return None  # it is no metric: `ranking` says what there is
    return name


def _key(name: str, about: Mapping[str, Description]) -> str:
    """The key of a figure, whose metric's name alone may stand for its only figure; raises ConfigError."""
    candidates = [key for key in about if key in (name, METRICS + name)]
    candidates = candidates or [key for key in about if key.startswith(f"{METRICS}{name}.")]
    if len(candidates) == 1:
        return candidates[0]
    options = [key.removeprefix(METRICS) for key in candidates or about]
    raise ConfigError(f"--by {name}: there is no such figure of an evaluation; {nearest(name, options)}")


def figures_of(directory: RunDirectory, validation: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """The figures of a finished run by split and key, and the units of splits whose densities are in their own.

    Args:
        directory: the run's directory.
        validation: the figures of the validation split, as `genkit evaluate --json` prints them.

    Raises:
        RunError: the figures of the test split are damaged.
    """
    try:
        test = strict_json.read(directory.evaluation) if directory.evaluation.is_file() else {}
    except (OSError, ValueError):
        raise RunError(f"{directory.evaluation}: is damaged; remove it, and resume the run") from None
    splits = {"validation": validation, "test": test}
    numbers = {f"{split}.{key}": value for split, values in splits.items() for key, value in _numbers(values)}
    units = {split: values["own_units"] for split, values in splits.items() if values.get("own_units")}
    return numbers | _loss_of(directory), units


def _numbers(values: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield above + key, float(value)


def _loss_of(directory: RunDirectory) -> dict[str, float]:
    """The validation loss of the epoch whose weights are kept, else of the last, without terms that have a critic."""
    history = directory.history()
    losses = dict(zip((record.epoch for record in history), Signals(history).losses("validation"), strict=False))
    try:
        epoch = int(strict_json.read(directory.kept)["epoch"])
    except (OSError, ValueError, KeyError, TypeError):
        epoch = max(losses, default=0)
    return {f"validation.{PLAIN_LOSS}": losses[epoch]} if epoch in losses else {}
