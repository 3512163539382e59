"""The number of threads is chosen once, recorded, and used again."""

import json

import pytest
import torch

from genkit.parallel.group import Messages
from genkit.runs import threads
from genkit.runs.reproduction import reproduce
from genkit.runs.running import resume, run
from genkit.runs.threads import Threads, choose, computing_on, recorded_in

QUICK = ["training.epochs=2", "encoder.hidden=[8]", "decoder.hidden=[8]"]
ALONE = Messages(None)


class Sees:
    """A listener that sees the number of threads of each epoch."""

    def __init__(self):
        self.numbers = []
        self.note = None

    def epoch_ended(self, run, record):
        self.numbers.append(torch.get_num_threads())
        self.note = run.threads


@pytest.fixture(autouse=True)
def two(monkeypatch):
    """A machine of two cores, whatever this one is, and torch's number of threads as it was."""
    monkeypatch.setattr(threads, "usable", lambda: {0, 1})
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def busy(monkeypatch):
    """`busy(cores)`: other work takes so many cores."""

    def take(cores):
        monkeypatch.setattr(threads.Usage, "others_since", lambda self, earlier: cores)
        monkeypatch.setattr("genkit.parallel.cores.usable", lambda: {0, 1})

    return take


def test_the_option_goes_before_the_record_and_the_record_before_the_rest(busy):
    busy(1.0)
    since = threads.Usage(0.0, 0.0, 0.0)
    assert choose(3, since, 1, ALONE).number == 3
    assert choose(None, since, 1, ALONE).number == 1
    assert choose("free", since, 2, ALONE).number == 2
    assert choose(None, since, None, ALONE).number == 2
    assert choose("free", since, None, ALONE).number == 1
    busy(0.2)
    assert choose("free", since, None, ALONE).number == 2
    assert choose("free", None, None, ALONE).number == 2


def test_what_is_said_of_them():
    assert Threads(2, 2, None, 0.2).note is None
    assert Threads(2, 2, None, None).note is None
    assert Threads(2, 2, None, 1.4).note == (
        "computing on 2 threads, and other work takes 1.4 of the 2 cores; training.threads=free takes only as many as "
        "are free"
    )
    assert Threads(1, 2, "free", 1.4).note == "computing on 1 thread: other work takes 1.4 of the 2 cores"
    assert Threads(2, 2, "free", 0.0).note == "computing on 2 threads"
    assert Threads(2, 2, 2, 1.4).note == "computing on 2 threads, and other work takes 1.4 of the 2 cores"
    assert Threads(1, 1, None, 1.4).note is None
    assert Threads(1, 2, None, 0.0, recorded=True).note == (
        "computing on 1 thread, as when the run began: other numbers add up in another order"
    )
    assert Threads(2, 2, None, 0.0, recorded=True).note is None


def test_the_number_is_put_back():
    with computing_on(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("bare")
def test_a_run_goes_on_with_the_threads_that_it_began_with(digits, tmp_path, busy):
    busy(1.2)
    sees, again = Sees(), Sees()
    left = run(digits, [*QUICK, "training.threads=free"], out=tmp_path / "run", listeners=[sees], until=(1, 0))
    assert recorded_in(left.directory) == 1
    busy(0.0)
    done = resume(tmp_path / "run", listeners=[again])
    assert sees.numbers + again.numbers == [1, 1]
    assert again.note == "computing on 1 thread, as when the run began: other numbers add up in another order"
    result = reproduce(tmp_path / "run")
    assert (result.different, result.environment) == ([], [])
    assert done.config.training.threads == "free"


@pytest.mark.usefixtures("bare")
def test_a_resumed_run_may_be_given_another_number(digits, tmp_path):
    sees = Sees()
    run(digits, QUICK, out=tmp_path / "run")
    resume(tmp_path / "run", overrides=["training.threads=1", "training.epochs=3"], listeners=[sees])
    assert sees.numbers == [1]
    assert reproduce(tmp_path / "run").different == []


@pytest.mark.parametrize("value", [None, 0, -1, "2", True, 5000, 1.5])
def test_a_strange_record_is_none(digits, tmp_path, value, bare):
    directory = run(digits, [*QUICK, "training.epochs=1"], out=tmp_path / "run").directory
    assert recorded_in(directory) == 2
    values = json.loads(directory.environment.read_text())
    directory.environment.write_text(json.dumps({**values, "threads": value}))
    assert recorded_in(directory) is None
    directory.environment.write_text(json.dumps({**values, "processes": 2}))
    assert recorded_in(directory) is None
