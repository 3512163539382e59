"""A sweep from its command line to its table and its page."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import torch

from genkit.cli.app import say
from genkit.cli.tables import console
from genkit.config import RunConfig
from genkit.errors import ConfigError, GenkitWarning, in_a_line, place
from genkit.files import atomic
from genkit.runs.opening import as_config
from genkit_sweep import checking, figure, page, tables
from genkit_sweep.axes import Axis, axes_of, grid
from genkit_sweep.directory import ROOT, Plan, Result, SweepDirectory, begin, fingerprint, reopened
from genkit_sweep.display import Display
from genkit_sweep.figures import Ranking, described, metric_of, ranking
from genkit_sweep.results import Figure, Summary, summary
from genkit_sweep.running import Sweep
from genkit_sweep.search import Search, check_axes
from genkit_sweep.trials import Grid, Trial, Trials

if TYPE_CHECKING:
    from rich.console import Console

THREADS = "training.threads"
FAILED = 1
"""The exit code of a sweep some of whose runs failed."""


class Request(NamedTuple):
    """What the command line asks for."""

    config: Path
    options: tuple[str, ...]
    jobs: int
    out: Path | None
    search: int | None
    log: tuple[str, ...]
    search_seed: int
    by: str | None
    retry: bool
    quiet: bool


def sweep(request: Request) -> None:
    """Run a sweep, or go on with one, and write its tables and its page; raises GenkitError."""
    directory, plan, config = _opened(request) if request.config.is_dir() else _begun(request)
    trials = _trials(directory, plan, config)
    if request.retry:
        say(f"{trials.retry()} failed runs are run again", error=True)
    if not request.quiet:
        _introduce(directory, plan, trials, request.jobs)
    terminal = console(stderr=True, quiet=request.quiet)
    try:
        with Display(terminal, _figure_text(plan, config), _epochs(plan)) as display:
            metric = metric_of(plan.by, config) or ""
            number = Sweep(directory, plan, trials, request.jobs, display, metric).run()
    except KeyboardInterrupt:  # the second one
        number = signal.SIGINT
    results = summarized(directory, plan, config)
    write_files(directory, results, plan)
    if number is None:
        _conclude(directory, results, terminal)
    say(f"interrupted; to go on: genkit sweep {directory.path}", error=True)
    raise SystemExit(128 + number)


def _opened(request: Request) -> tuple[SweepDirectory, Plan, RunConfig]:
    """A sweep that goes on, by its directory alone."""
    SweepDirectory(request.config).read_plan()
    if request.options or request.out is not None or request.search or request.log or request.by:
        raise ConfigError(
            f"{request.config}: is a sweep's directory, which has its options; give none but --jobs and --retry, or "
            "name the config in its place"
        )
    directory, plan = reopened(request.config)
    return directory, plan, as_config(Path(plan.config), checking.samples(axes_of(plan.options))[0])


def _begun(request: Request) -> tuple[SweepDirectory, Plan, RunConfig]:
    """A sweep by its whole command, every run of which is checked; one that was begun before goes on."""
    axes = axes_of(request.options)
    if request.search is not None:
        check_axes(axes, request.log)
        runs = checking.samples(axes)
    elif request.log:
        raise ConfigError("--log is for ranges of a search: add --search N")
    else:
        runs = grid(axes)
    configs, reports = checking.check_all(request.config, runs)
    config, has_validation = configs[0], all("validation" in report.counts for report in reports)
    if not has_validation and (request.by is not None or request.search is not None):
        raise ConfigError(
            "the data have no validation split, and figures of test data choose nothing: hold some out, for example "
            "data.validation=0.1"
        )
    ranking(request.by, config)
    plan = Plan(
        config=str(request.config.absolute()),
        sha256=fingerprint(request.config),
        folder=str(Path.cwd()),
        options=request.options,
        threads=_threads(config, axes, request.jobs),
        has_validation=has_validation,
        by=request.by,
        search=request.search,
        log=request.log,
        seed=request.search_seed,
    )
    directory, plan = begin(plan, request.out or ROOT / config.name)
    return directory, plan, config


def _threads(config: RunConfig, axes: Sequence[Axis], jobs: int) -> int | None:
    """The threads of each run: an even share of the machine's, unless the config or the options say a number."""
    if any(axis.key == THREADS for axis in axes) or isinstance(config.training.threads, int):
        return None
    return max(1, torch.get_num_threads() // jobs)


def _trials(directory: SweepDirectory, plan: Plan, config: RunConfig) -> Trials:
    axes = axes_of(plan.options)
    if plan.search is None:
        return Grid(directory, grid(axes), [axis.key for axis in axes if axis.varies])

    def cost(result: Result) -> float | None:
        order = ranking(plan.by, config, directory.results())
        if order.doubt:
            raise ConfigError(f"{directory.path}: the search has no figure: {order.doubt}, and another --out")
        value = order.value(result)
        return None if value is None else order.sign * value

    search = Search(directory, plan, axes, cost)
    search.settle()
    return search


def _introduce(directory: SweepDirectory, plan: Plan, trials: Trials, jobs: int) -> None:
    """Say what is going to be run."""
    over = len(directory.numbers())
    say(f"{trials.count} runs in {directory.path}, {jobs} at a time{f'; {over} are over' if over else ''}", error=True)
    if plan.threads is not None:
        what = f"each on {plan.threads} {'thread' if plan.threads == 1 else 'threads'}, whatever --jobs is"
        say(f"{what}: other numbers add up in another order", error=True)


def _figure_text(plan: Plan, config: RunConfig) -> Callable[[Result], str]:
    """A function that gives the figure of a run as text, with its name."""
    order = ranking(plan.by, config)

    def text(result: Result) -> str:
        value = order.value(result)
        about = Figure("validation", order.key, order.about)
        return "" if value is None else f"{about.name} {about.text(value)}"

    return text


def _epochs(plan: Plan) -> Callable[[Trial], int | None]:
    """A function that gives the epochs of a run; None where its length is in steps."""

    def epochs(trial: Trial) -> int | None:
        training = as_config(Path(plan.config), trial.assignments).training
        return training.epochs if training.steps is None else None

    return epochs


def summarized(directory: SweepDirectory, plan: Plan, config: RunConfig) -> Summary:
    """The summary of the results so far."""
    results = directory.results()
    order: Ranking = ranking(plan.by, config, results)
    about = described(config, metric_of(plan.by, config))
    return summary(directory.path.name, results, order, about)


def write_files(directory: SweepDirectory, results: Summary, plan: Plan) -> None:
    """Write the tables, the figure and the page; a page that fails is a warning (GenkitWarning)."""
    texts = {"table.csv": tables.as_csv, "runs.csv": tables.runs_as_csv}
    texts |= {"table.md": tables.as_markdown, "table.tex": tables.as_latex}
    for name, text in texts.items():
        atomic.write_text(directory.path / name, text(results))
    try:
        figure.write(results, directory.path)
        page.write(directory, plan, results)
    except Exception as error:
        reason = f"{in_a_line(error)}{place(error)}"
        warnings.warn(f"{directory.page} could not be written: {reason}", GenkitWarning, stacklevel=2)


def _conclude(directory: SweepDirectory, results: Summary, terminal: Console) -> NoReturn:
    """Print the table of a sweep that is over, and its directory; the exit code says whether runs failed."""
    tables.show(results, terminal)
    if results.failed:
        say(f"to run the failed ones again: genkit sweep {directory.path} --retry", error=True)
    say(directory.path)
    raise SystemExit(FAILED if results.failed else 0)
