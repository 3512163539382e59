"""Checks of listeners (loggers): they follow a whole run, do not stop it, and leave it as it is."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from genkit.errors import in_a_line, place
from genkit.evaluation.figures import evaluate
from genkit.interfaces import DataSource, Forward, Loss, RawData, Split
from genkit.record.run import Run
from genkit.record.scores import Progress
from genkit.registry.hooks import RUN_HOOKS
from genkit.registry.plugin import THIS_PROCESS, Plugin
from genkit.registry.registry import NO_HOOK, Registry, registry
from genkit.runs.events import Events
from genkit.runs.opening import as_config, create_directory, prepare
from genkit.sharing import weights
from genkit.testing.check import promise
from genkit.testing.passes import NAME, TinyDecoder, TinyEncoder, TinyLikelihood, TinySampler
from genkit.testing.subject import ContractError, generators, require, seeded
from genkit.training.epochs import fit
from genkit.training.trainer import Trainer

EPOCHS = 2


@dataclass(eq=False)
class Listener:
    """A module with hooks under test."""

    hooks: Any
    expected: Mapping[str, str] = field(default_factory=dict)
    """Checks that are expected to fail, with the reasons; checks that build on them run all the same."""
    outcomes: dict[str, Exception | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The listener's name in messages."""
        return f"plugin '{getattr(self.hooks, '__name__', type(self.hooks).__name__)}'"

    def plugins(self) -> Registry:
        """A registry with these hooks only."""
        own = Registry()
        if self.hooks is not None:
            plugin = own.add(self.hooks, Plugin(self.name, THIS_PROCESS, ""))
            require(
                not plugin.problems or plugin.problems == [NO_HOOK],
                f"a hook of it does not fit: {'; '.join(plugin.problems)}; genkit/registry/hooks.py has the hooks and "
                "the names of their arguments",
            )
            require(bool(plugin.events), f"it implements none of the hooks that follow a run: {', '.join(RUN_HOOKS)}")
        return own


class _Data(DataSource):
    """Random images."""

    class Config(DataSource.Config):
        """Options of the images."""

        name: Literal["genkit-testing"] = NAME
        count: Annotated[int, Field(description="the number of images")] = 64

    def load(self) -> RawData:
        """(count, 1, 4, 4), with two classes."""
        count: int = self.config.count
        x = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        return RawData(Split(x, torch.arange(count) % 2))


class _Term(Loss):
    """The evidence lower bound."""

    class Config(Loss.Config):
        """Options of the term."""

        name: Literal["genkit-testing"] = NAME

    def forward(self, forward: Forward) -> torch.Tensor:
        """(B,) nats."""
        assert forward.log_prob is not None
        assert forward.latent is not None
        assert forward.latent.kl is not None
        return forward.latent.kl.sum(1) - forward.log_prob.mean(0)


@promise(Listener)
def hooks(subject: Listener) -> None:
    """Its hooks are hooks of genkit, take the arguments of these, and follow a run."""
    subject.plugins()


@promise(Listener, after=("hooks",))
def follows_a_run(subject: Listener) -> None:
    """It follows a run from start to end without an error."""
    with tempfile.TemporaryDirectory() as folder:
        _follow(subject, Path(folder))


@promise(Listener, after=("hooks", "follows a run"))
def follows_without_held_out_data(subject: Listener) -> None:
    """It follows a run without validation and test splits, where their figures are None."""
    with tempfile.TemporaryDirectory() as folder:
        _follow(subject, Path(folder), "data.validation=0", "data.test=0")


@promise(Listener, after=("hooks", "follows a run"))
def follows_a_resumed_run(subject: Listener) -> None:
    """It follows a run that stops early, and then the resumed run, in the same process."""
    with tempfile.TemporaryDirectory() as folder:
        run = _follow(subject, Path(folder), finish=False)
        _follow(subject, Path(folder), resumed=run)


@promise(Listener, after=("hooks", "follows a run"))
def changes_nothing(subject: Listener) -> None:
    """The run is the same as without it: model, random numbers, history, files, and the process around it."""
    outcomes, faults = [], list[str]()
    for listener in (Listener(None), subject):
        with tempfile.TemporaryDirectory() as folder, seeded():
            run = _follow(listener, Path(folder), faults=faults)
            files = {path.name for path in run.directory.path.iterdir() if path.is_file() and path.stat().st_size}
            outcomes.append((run, files, generators()))
    require(not faults, "; ".join(faults))
    (reference, own, states), (run, files, other_states) = outcomes
    wanted, others = reference.model.state_dict(), run.model.state_dict()
    require(
        all(torch.equal(wanted[name], others[name]) for name in wanted),
        "a run that it follows comes out otherwise: it changes the model",
    )
    require(
        states == other_states,
        "it draws from a global generator (torch, numpy, random), on which the run depends: draw inside "
        "torch.random.fork_rng(), or from one of its own",
    )
    lost = ", ".join(sorted(own - files))
    require(not lost, f"it removes or empties files of the run ({lost}): write files of its own")
    epochs = [[record.epoch for record in each.history] for each in (run, reference)]
    require(epochs[0] == epochs[1], "it changes run.history: read a copy of it")
    require(
        (run.evaluation is None) == (reference.evaluation is None), "it changes run.evaluation: leave it to the run"
    )
    frozen = [name for name, p in run.model.named_parameters() if not p.requires_grad]
    require(not frozen, f"it freezes parameters of the model ({', '.join(frozen)})")
    hooked = [name or "model" for name, m in run.model.named_modules() if m._forward_hooks or m._forward_pre_hooks]
    require(not hooked, f"it leaves forward hooks on {', '.join(hooked)}: remove each with its handle")


def _follow(
    subject: Listener,
    folder: Path,
    *overrides: str,
    finish: bool = True,
    resumed: Run | None = None,
    faults: list[str] | None = None,
) -> Run:
    """Run a small model with the events of `runs.events` for a listener; `faults` collects what it leaves changed."""
    faults = [] if faults is None else faults
    plugins = subject.plugins().parts()
    with registry().registered_within(TinyEncoder, TinySampler, TinyDecoder, TinyLikelihood, _Data, _Term):
        run = _begun(folder, overrides, resumed)
        events = Events(run, plugins=plugins, failed=_refuse)
        try:
            with _watched(run, faults, "run_started"):
                events.begin()
            _fit(run, events, faults)
            if finish:
                _finish(run)
                with _watched(run, faults, "run_ended"):
                    events.emit("run_ended")
        finally:
            with _watched(run, faults, "run_stopped"):
                events.emit("run_stopped")
    return run


def _refuse(name: str, event: str, error: BaseException) -> None:
    raise ContractError(f"it fails in {event}: {in_a_line(error)}{place(error)}") from error


@contextlib.contextmanager
def _watched(run: Run, faults: list[str], event: str) -> Iterator[None]:
    """Add to `faults` what the block leaves changed, and put it back."""
    folder, training = Path.cwd(), run.model.training
    yield
    if Path.cwd() != folder:
        os.chdir(folder)
        faults.append(f"in {event} it changes the working directory, from which others read and write")
    if run.model.training != training:
        run.model.train(training)
        faults.append(f"in {event} it leaves the model in another mode: put it back, model.train(before)")


def _begun(folder: Path, overrides: tuple[str, ...], resumed: Run | None) -> Run:
    kinds = ("data", "encoder", "sampler", "decoder", "likelihood", "loss")
    training = {
        "epochs": EPOCHS if resumed is None else EPOCHS + 1,
        "batch_size": 16,
        "compile": False,
        "device": "cpu",
    }
    config = as_config({**dict.fromkeys(kinds, NAME), "training": training}, overrides)
    data, model = prepare(config)
    if resumed is not None:
        return Run(config, resumed.directory, data, model, list(resumed.history))
    return Run(config, create_directory(config, folder / "run"), data, model)


def _fit(run: Run, events: Events, faults: list[str]) -> None:
    trainer = Trainer(run.model, run.config.training)

    def report(progress: Progress) -> None:
        with _watched(run, faults, "step_ended"):
            events.emit("step_ended", progress=progress)

    for record in fit(trainer, run.data, run.config.seed, len(run.history) + 1, report):
        run.directory.append_metrics(record)
        run.history.append(record)
        with _watched(run, faults, "epoch_ended"):
            events.emit("epoch_ended", record=record)
        with _watched(run, faults, "should_stop"):
            events.should_stop(record)  # the answer does not count here


def _finish(run: Run) -> None:
    run.model.eval()
    if run.data.test is not None:
        run.evaluation = evaluate(run.model, run.data, seed=run.config.seed)
    weights.save(run.directory.model, run.model)
