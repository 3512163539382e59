from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from genkit.registry.hooks import hookimpl
from genkit.registry.registry import installed, registry


class Good:
    """Writes a line an epoch."""

    def __init__(self):
        self.lines = {}

    @hookimpl
    def run_started(self, run):
        self.lines[id(run)] = [f"{len(run.history)} epochs before"]

    @hookimpl
    def epoch_ended(self, run, record):
        self.lines[id(run)].append(f"{record.epoch}: {record.train.loss:.3f}")

    @hookimpl
    def run_ended(self, run):
        assert run.directory.model.is_file()
        self.lines[id(run)].append("done")

    @hookimpl
    def run_stopped(self, run):
        (run.directory.path / "lines.txt").write_text("\n".join(self.lines.pop(id(run))))


class Validates(Good):
    @hookimpl
    def epoch_ended(self, run, record):
        self.lines[id(run)].append(f"{record.validation.loss:.3f}")


class Fresh(Good):
    @hookimpl
    def epoch_ended(self, run, record):
        assert record.epoch == len(self.lines[id(run)])
        self.lines[id(run)].append("")


class Raises(Good):
    @hookimpl
    def epoch_ended(self, run, record):
        raise ConnectionError("no server")


class Misnamed(Good):
    @hookimpl
    def epoch_ended(self, run, epoch):
        pass


class Unknown(Good):
    @hookimpl
    def epoch_finished(self, run):
        pass


class Nothing:
    pass


class Draws(Good):
    @hookimpl
    def epoch_ended(self, run, record):
        run.model.sample(2)


class Nudges(Good):
    @hookimpl
    def run_ended(self, run):
        with torch.no_grad():
            next(run.model.parameters()).add_(1)


class LeavesTraining(Good):
    @hookimpl
    def run_ended(self, run):
        run.model.train()


class EndsTraining(Good):
    @hookimpl
    def epoch_ended(self, run, record):
        super().epoch_ended(run, record)
        run.model.eval()


class DrawsByNumpy(Good):
    @hookimpl
    def run_ended(self, run):
        super().run_ended(run)
        np.random.rand()


class Moves(Good):
    @hookimpl
    def run_started(self, run):
        super().run_started(run)
        os.chdir(run.directory.path)


class Removes(Good):
    @hookimpl
    def run_ended(self, run):
        super().run_ended(run)
        run.directory.model.unlink()


class Forgets(Good):
    @hookimpl
    def run_ended(self, run):
        super().run_ended(run)
        run.history.clear()


class TakesTheFigures(Good):
    @hookimpl
    def run_ended(self, run):
        super().run_ended(run)
        run.evaluation = None


class Freezes(Good):
    @hookimpl
    def run_ended(self, run):
        super().run_ended(run)
        run.model.decoder.requires_grad_(False)


class Hooks(Good):
    @hookimpl
    def run_ended(self, run):
        super().run_ended(run)
        run.model.decoder.register_forward_hook(lambda *_: None)


class Exits(Good):
    @hookimpl
    def run_ended(self, run):
        raise SystemExit(0)


class Lines:
    """What `Good` does for every run, for one."""

    def __init__(self, run):
        self.run = run
        self.lines = [f"{len(run.history)} epochs before"]

    def epoch_ended(self, record):
        self.lines.append(f"{record.epoch}: {record.train.loss:.3f}")

    def should_stop(self, record):
        return len(self.lines) > 1

    def run_stopped(self):
        (self.run.directory.path / "lines.txt").write_text("\n".join(self.lines))


class Gives:
    """Gives a listener for each run."""

    heard_by = Lines

    @hookimpl
    def listener(self, run):
        return self.heard_by(run)


class AsksForMore(Lines):
    def epoch_ended(self, record, speed):
        pass


class GivesOneThatFails(Gives):
    heard_by = AsksForMore


class Judges(Lines):
    def should_stop(self, run, record):
        return run.model.sample(2).mean() > 0


class GivesOneThatDraws(Gives):
    heard_by = Judges


class GivesNoListener(Gives):
    def heard_by(self, run):
        return "the run"


class Wraps(Good):
    @hookimpl(wrapper=True)
    def run_ended(self, run):
        yield


NOTHING = "changes nothing"
WRONG = [
    (EndsTraining, NOTHING, "in epoch_ended it leaves the model in another mode"),
    (DrawsByNumpy, NOTHING, "draws from a global generator (torch, numpy, random)"),
    (Moves, NOTHING, "in run_started it changes the working directory"),
    (Removes, NOTHING, "it removes or empties files of the run (model.safetensors)"),
    (Forgets, NOTHING, "it changes run.history"),
    (TakesTheFigures, NOTHING, "it changes run.evaluation"),
    (Freezes, NOTHING, "it freezes parameters of the model (decoder.layer.weight, decoder.layer.bias)"),
    (Hooks, NOTHING, "it leaves forward hooks on decoder: remove each with its handle"),
    (Exits, "follows a run", "it fails in run_ended: SystemExit: 0"),
    (Validates, "follows without held out data", "it fails in epoch_ended: AttributeError: 'NoneType' object"),
    (Fresh, "follows a resumed run", "it fails in epoch_ended: AssertionError"),
    (Raises, "follows a run", "it fails in epoch_ended: ConnectionError: no server"),
    (Misnamed, "hooks", "genkit/registry/hooks.py has the hooks and the names of their arguments"),
    (Unknown, "hooks", "epoch_finished"),
    (Nothing, "hooks", "it implements none of the hooks that follow a run: listener, run_started"),
    (Draws, NOTHING, "draws from a global generator"),
    (Nudges, NOTHING, "it changes the model"),
    (GivesOneThatFails, "follows a run", "it fails in epoch_ended: TypeError"),
    (GivesOneThatDraws, NOTHING, "draws from a global generator"),
    (GivesNoListener, "follows a run", "it fails in listener: TypeError: it gives 'the run', which has none of the"),
    (Wraps, "hooks", "its hook 'run_ended' is a wrapper, which never runs"),
    (LeavesTraining, NOTHING, "it leaves the model in another mode"),
]


def test_a_right_listener_passes_and_nothing_stays_registered(failures):
    before = list(registry().plugins)
    assert failures(Good()) == {}
    assert failures(Gives()) == {}
    assert registry().plugins == before
    assert "genkit-testing" not in installed().names("encoder")


@pytest.mark.parametrize(("listener", "caught", "words"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_listener_is_caught_by_the_check_that_should(failures, listener, caught, words):
    found = failures(listener())
    assert list(found) == [caught]
    assert words in found[caught]
