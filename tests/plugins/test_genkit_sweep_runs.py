"""The runs of a sweep: side by side, killed, resumed, failed, and by several processes at once."""

import contextlib
import io
import json
import os
import signal
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from genkit.cli.tables import console
from genkit_sweep import job, running
from genkit_sweep.axes import axes_of, grid
from genkit_sweep.directory import Plan, Result, begin
from genkit_sweep.display import Display, duration
from genkit_sweep.running import Sweep
from genkit_sweep.search import Search
from genkit_sweep.trials import Grid

# Stands in for a run: an epoch is a line, and takes no torch. It goes on where it stands, and ends with its parent.
PROGRAM = """
import json, os, sys, threading, time
from pathlib import Path
def wait():
    while os.read(0, 1): pass
    os._exit(143)
threading.Thread(target=wait, daemon=True).start()
sweep, number, metric, *words = sys.argv[1:]
options, number = dict(word.split("=", 1) for word in words), int(number)
run = Path(sweep) / "runs" / f"{number:04d}"
run.mkdir(parents=True, exist_ok=True)
if options.get("bad") == "1" and not (Path(sweep) / "mended").exists():
    sys.exit("error: the loss is nan\\n(a note)")
with (run / "metrics.jsonl").open("a+") as stream:
    stream.seek(0)
    for epoch in range(len(stream.readlines()), 4):
        time.sleep(0.03)
        stream.write(json.dumps({"epoch": epoch + 1}) + "\\n")
        stream.flush()
(run / "ended").open("a").write("x")
figures = {"validation.elbo": -float(options.get("a", 0))}
result = {"number": number, "options": options, "state": "done", "figures": figures, "units": {}, "epochs": 4}
path = Path(sweep) / "results" / f"{number:04d}.json"
path.parent.mkdir(exist_ok=True)
path.with_suffix(".part").write_text(json.dumps({**result, "seconds": 0.1, "error": ""}))
path.with_suffix(".part").replace(path)
"""
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Following:
    """Notes what happens."""

    def __init__(self):
        self.most, self.ends = 0, []

    def began(self, trial, directory):
        pass

    def ended(self, trial, result):
        self.ends.append((trial.number, None if result is None else result.state))

    def looked(self, running, trials):
        self.most = max(self.most, len(running))


@pytest.fixture
def sweep_of(tmp_path, monkeypatch):
    """`sweep_of(words, jobs)`: a sweep of stand-ins in one directory, with what follows it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.setattr(running, "PROGRAM", (str(tmp_path / "program.py"),))
    monkeypatch.setattr(running, "SECONDS", 0.01)
    monkeypatch.setattr(running, "ELSEWHERE", 0.02)

    def make(words, jobs=2):
        plan = Plan("c.yaml", "x", str(tmp_path), tuple(words), 1, True)
        directory, plan = begin(plan, tmp_path / "sweep")
        axes = axes_of(words)
        trials = Grid(directory, grid(axes), [axis.key for axis in axes if axis.varies])
        return Sweep(directory, plan, trials, jobs, Following())

    return make


def in_a_fork(sweep):
    """Run a sweep in a process of its own; gives its number."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            code = sweep().run() or 0
        os._exit(code)
    return child


def jobs_of(pid):
    """The processes that a process has started."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if path.read_text().rpartition(")")[2].split()[1] == str(pid):
                yield int(path.parent.name)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.005)


def epochs(folder):
    return [
        [json.loads(line)["epoch"] for line in path.read_text().splitlines()]
        for path in sorted(folder.glob("runs/*/metrics.jsonl"))
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_sweep_of_twelve_that_is_killed_and_interrupted_trains_each_run_once(sweep_of, tmp_path):
    words, folder = ["a=1,2", "b=3,4", "seed=0..2"], tmp_path / "sweep"
    results = folder / "results"
    killed = in_a_fork(lambda: sweep_of(words))
    wait_for(lambda: len(list(results.glob("*.json"))) >= 3)
    for number in [killed, *jobs_of(killed)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    os.waitpid(killed, 0)
    before = {path: path.stat().st_mtime_ns for path in results.glob("*.json")}
    interrupted = in_a_fork(lambda: sweep_of(words))
    wait_for(lambda: len(list(results.glob("*.json"))) >= 7)
    os.kill(interrupted, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(interrupted, 0)[1]) == signal.SIGINT
    assert 7 <= len(list(results.glob("*.json"))) < 12
    assert sweep_of(words).run() is None
    assert epochs(folder) == [[1, 2, 3, 4]] * 12
    assert [path.read_text() for path in sorted(folder.glob("runs/*/ended"))] == ["x"] * 12
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert sum(1 for path in results.glob("*.json")) == 12


def test_the_process_of_a_run_stops_when_the_sweep_is_gone():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(reading, 0)
        os.close(writing)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(7))  # as a training, which writes a checkpoint first
        threading.Thread(target=job._end_with_parent, daemon=True).start()
        time.sleep(60)
        os._exit(1)
    os.close(reading)
    time.sleep(0.1)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.close(writing)  # as the system does for a killed process
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_two_processes_share_a_sweep(sweep_of, tmp_path):
    words = ["a=1,2", "seed=0..2"]
    other = in_a_fork(lambda: sweep_of(words, 1))
    own = sweep_of(words, 1)
    assert own.run() is None
    assert os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) == 0
    assert epochs(tmp_path / "sweep") == [[1, 2, 3, 4]] * 6
    assert [path.read_text() for path in (tmp_path / "sweep").glob("runs/*/ended")] == ["x"] * 6
    assert 0 < len(own.follower.ends) < 6


def test_no_more_runs_at_a_time_than_asked_for(sweep_of):
    sweep = sweep_of(["seed=0..4"], jobs=3)
    sweep.run()
    assert sweep.follower.most == 3
    assert sorted(number for number, _ in sweep.follower.ends) == [1, 2, 3, 4, 5]


def test_runs_that_fail_are_kept_apart_and_retried(sweep_of, tmp_path):
    words = ["bad=0,1", "seed=0..1"]
    sweep = sweep_of(words)
    assert sweep.run() is None
    failed = [result for result in sweep.directory.results() if result.state == "failed"]
    assert [(result.number, result.error) for result in failed] == [(3, "the loss is nan"), (4, "the loss is nan")]
    (tmp_path / "sweep" / "mended").touch()
    again = sweep_of(words)
    assert again.run() is None
    assert again.follower.ends == []  # without --retry they stay
    assert again.trials.retry() == 2
    assert again.run() is None
    assert {result.state for result in again.directory.results()} == {"done"}


def test_a_run_that_is_killed_from_outside_has_failed(sweep_of, monkeypatch, tmp_path):
    (tmp_path / "program.py").write_text("import os; os.kill(os.getpid(), 9)")
    sweep = sweep_of(["seed=0..1"])
    sweep.run()
    assert all("ended by SIGKILL; its log is" in result.error for result in sweep.directory.results())


def test_a_run_that_another_process_trains_is_left_to_it(sweep_of, tmp_path):
    sweep = sweep_of(["seed=0"])
    from genkit.files.lock import locked

    run = sweep.directory.run(1).path
    run.mkdir(parents=True)
    with locked(run), contextlib.ExitStack() as claims:
        assert sweep.trials.take(claims) is None
    with contextlib.ExitStack() as claims:
        assert sweep.trials.take(claims).number == 1
        with contextlib.ExitStack() as others:
            assert sweep.trials.take(others) is None


@pytest.mark.skipif(find_spec("optuna") is None, reason="needs optuna, of the extra search")
@pytest.mark.filterwarnings("ignore::UserWarning")
class TestSearch:
    WORDS = ("a=0.5..8", "b=x,y", "n=1..64")

    @pytest.fixture
    def search_of(self, sweep_of, tmp_path):
        def make(count, jobs=1):
            plan = Plan("c.yaml", "x", str(tmp_path), self.WORDS, 1, True, search=count, log=("a", "n"))
            directory, plan = begin(plan, tmp_path / "sweep")
            cost = lambda result: -result.figures["validation.elbo"]  # noqa: E731
            search = Search(directory, plan, axes_of(self.WORDS), cost)
            search.settle()
            return Sweep(directory, plan, search, jobs, Following())

        return make

    def test_two_processes_search_on_one_study(self, search_of):
        other = in_a_fork(lambda: search_of(8))
        own = search_of(8)
        assert own.run() is None
        assert os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) == 0
        results = own.directory.results()
        assert [result.number for result in results] == list(range(1, 9))
        assert len({result.options["a"] for result in results}) == 8
        assert 0 < len(own.follower.ends) < 8
        study = search_of(8).trials.study
        values = {trial.number + 1: trial.value for trial in study.get_trials()}
        assert values == {result.number: float(result.options["a"]) for result in results}

    def test_a_search_draws_the_same_whatever_interrupts_it(self, search_of, tmp_path):
        whole = search_of(4)
        whole.run()
        options = [result.options for result in whole.directory.results()]
        whole.directory.path.rename(tmp_path / "whole")
        first = search_of(2)
        first.run()
        with contextlib.ExitStack() as claims:  # one that a killed process left
            assert search_of(4).trials.take(claims).number == 3
        search_of(4).run()
        assert [result.options for result in first.directory.results()] == options
        assert all(1 <= int(each["n"]) <= 64 and 0.5 <= float(each["a"]) <= 8 for each in options)

    def test_a_failed_trial_counts_until_it_is_retried(self, search_of, tmp_path):
        (tmp_path / "program.py").write_text("raise SystemExit('error: no memory')")
        search_of(2).run()
        (tmp_path / "program.py").write_text(PROGRAM)
        again = search_of(2)
        again.run()
        assert [result.state for result in again.directory.results()] == ["failed"] * 2
        assert again.trials.retry() == 2
        again.run()
        results = again.directory.results()
        assert [result.state for result in results] == ["retried", "retried", "done", "done"]
        assert [each.options for each in results[2:]] == [each.options for each in results[:2]]


@pytest.fixture
def display(tmp_path):
    """A display of two runs of four epochs, the first done, on a console of 60 columns that is none."""
    printed = io.StringIO()
    shown = Display(console(file=printed, width=60), lambda result: "ELBO −30.00", lambda trial: 4)
    shown.printed = printed
    return shown


def test_a_line_per_run_without_a_terminal(display, sweep_of):
    sweep = sweep_of(["sampler.latent=2,8"])
    sweep.follower = display
    with display:
        sweep.run()
    lines = sorted(display.printed.getvalue().splitlines())
    assert lines == ["0001  latent=2  ELBO −30.00  0.1 s", "0002  latent=8  ELBO −30.00  0.1 s"]


@pytest.mark.parametrize("width", [79, 60, 30, 20])
def test_the_line_of_the_state_fits_and_keeps_the_time_left(display, sweep_of, width, monkeypatch):
    sweep = sweep_of([f"a={','.join(map(str, range(20)))}", "seed=0..1"])
    trials, directory = sweep.trials, sweep.directory
    for trial in trials.trials[:9]:
        display.began(trial, directory)
        run = directory.run(trial.number)
        run.path.mkdir(parents=True)
        run.metrics.write_text("{}\n" * 3)
    directory.record(Result(40, {}, "failed", {}, {}, 0, 0.0, "x"))
    monkeypatch.setattr(display, "began_at", time.monotonic() - 60)
    line = display.line(trials.trials[:9], trials, width)
    assert len(line) <= width
    assert line.endswith(" left")
    if width == 79:
        assert line.startswith("0 of 40 done, 1 failed  9 running  ")


def test_the_time_left_is_of_the_parts_that_were_done_here(display, sweep_of, monkeypatch):
    sweep = sweep_of(["seed=0..1"])
    trial = sweep.trials.trials[0]
    display.began(trial, sweep.directory)
    run = sweep.directory.run(1)
    run.path.mkdir(parents=True)
    monkeypatch.setattr(time, "monotonic", lambda: display.began_at + 30)
    assert display.line([trial], sweep.trials, 79) == "0 of 2 done  0001 0%  time left not known yet"
    run.metrics.write_text("{}\n" * 2)
    assert display.line([trial], sweep.trials, 79) == "0 of 2 done  0001 50%  1 min 30 s left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.42, "4.4 s"), (12.4, "12 s"), (200, "3 min 20 s"), (3900, "1 h 5 min"), (-1, "0 s")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
