"""The end of a run: its weights first, then its figures and pictures, each stage recorded once it is done."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

from genkit.errors import GenkitError, GenkitWarning, MetricError, TrainingError, in_a_line
from genkit.evaluation.figures import evaluate
from genkit.evaluation.metrics import descriptions, measure_each, named
from genkit.files import atomic, strict_json
from genkit.pictures import plots
from genkit.record.run import Run
from genkit.record.stages import DRAWN, EVALUATED, FITTED, SAVED, TRAINED
from genkit.sharing import weights
from genkit.training.fitting import fit_prior, fits_later


def finish(run: Run, keep: Callable[[], None]) -> None:
    """Go through the stages that are not done yet; `keep` writes a checkpoint, once a prior is fitted.

    Figures and pictures that fail are warnings (GenkitWarning), for the model is there; figures that are not finite
    are an error, after all else.

    Raises:
        RunError: the weights cannot be written.
        TrainingError: a figure is not finite.
    """
    run.model.eval()
    stages, epoch = run.directory.stages, run.history[-1].epoch if run.history else 0
    done = stages.done(epoch)
    bad: TrainingError | None = None
    work: dict[str, Callable[[Run], None]] = {TRAINED: _nothing, FITTED: _nothing}
    if fits_later(run.model):
        done = [stage for stage in done if stage == TRAINED]  # what follows is of the model with the fitted prior
        work[FITTED] = lambda run: _fit(run, epoch, keep)
    work |= {SAVED: _save, EVALUATED: _evaluate, DRAWN: _draw}
    for stage, act in work.items():
        if stage in done and stage != EVALUATED:  # the figures are wanted by listeners too
            continue
        try:
            act(run)
        except TrainingError as error:
            bad = error
            continue
        except MetricError as error:
            _warn_of_metrics(error)
            continue
        except Exception as error:
            if stage in (TRAINED, SAVED):
                raise
            _warn(stage, error)
            continue
        stages.mark(epoch, stage)
    if bad is not None:
        raise bad


def _nothing(run: Run) -> None:
    """All epochs are done."""


def _fit(run: Run, epoch: int, keep: Callable[[], None]) -> None:
    fit_prior(run.model, run.data, run.config.seed, epoch + 1)
    keep()


def _save(run: Run) -> None:
    weights.save(run.directory.model, run.model)


def _evaluate(run: Run) -> None:
    """The figures of every model, and those of the metrics that can be computed; raises MetricError for the others."""
    if run.data.test is None:
        return
    seed = run.config.seed
    evaluation = replace(evaluate(run.model, run.data, seed=seed), described=descriptions(run.config.metrics))
    values, errors = measure_each(run.model, run.data, named(run.config.metrics), seed=seed)
    evaluation.metrics.update(values)
    run.evaluation = evaluation
    atomic.write_text(run.directory.evaluation, strict_json.dumps(evaluation.to_json(), indent=2) + "\n")
    if errors:
        raise MetricError(*errors.values())


def _draw(run: Run) -> None:
    plots.draw_all(run.model, run.data, run.history, run.directory.pictures)


def _warn_of_metrics(error: MetricError) -> None:
    for line in error.args:
        message = f"{line}; the run's other figures are written, and genkit resume tries it again"
        warnings.warn(message, GenkitWarning, stacklevel=3)


def _warn(stage: str, error: Exception) -> None:
    reason = "; ".join(str(error).splitlines()) if isinstance(error, GenkitError) else in_a_line(error)
    message = f"the run could not be {stage}: {reason}; its weights are written, and genkit resume tries it again"
    warnings.warn(message, GenkitWarning, stacklevel=3)
