"""What listeners hear of a run, and what becomes of those that fail."""

from types import SimpleNamespace

import pytest

from genkit import hookimpl
from genkit.registry.registry import Plugin, Registry
from genkit.runs.events import Events, listening

RUN, ANOTHER = (SimpleNamespace(config=SimpleNamespace(plugins="all")) for _ in range(2))


class Ear:
    """Writes down what it hears."""

    def __init__(self):
        self.heard = []

    @hookimpl
    def run_started(self, run):
        self.heard.append(("run_started", run))

    @hookimpl
    def epoch_ended(self, record):
        self.heard.append(("epoch_ended", record))

    @hookimpl
    def run_ended(self):
        self.heard.append(("run_ended",))


class Broken:
    """Fails whenever an epoch ends; hears the start and the end."""

    def __init__(self):
        self.heard = []

    @hookimpl
    def run_started(self, run):
        self.heard.append("run_started")

    @hookimpl
    def epoch_ended(self, run, record):
        self.heard.append("epoch_ended")
        raise ValueError(f"no room for epoch {record}")

    @hookimpl
    def run_ended(self, run):
        self.heard.append("run_ended")


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    made = Registry()
    monkeypatch.setattr("genkit.runs.events.registry", lambda: made)
    monkeypatch.setattr("genkit.runs.events.installed", made.parts)
    return made


def plugin(registry, name, listener):
    registry.add(listener, Plugin(name, "acme", "1.0"))
    return listener


def test_listeners_hear_the_run_and_what_else_they_ask_for(registry):
    ears = [plugin(registry, name, Ear()) for name in ("one", "two")]
    events = Events(RUN)
    events.emit("run_started")
    events.emit("epoch_ended", record=1)
    events.emit("run_ended")
    for ear in ears:
        assert ear.heard == [("run_started", RUN), ("epoch_ended", 1), ("run_ended",)]


def test_event_without_listeners_is_none_of_anybodys_business(registry):
    ear = plugin(registry, "one", Ear())
    Events(RUN).emit("step_ended", progress=None)
    assert ear.heard == []


def test_failing_listener_is_named_once_and_hears_no_more_while_others_go_on(registry):
    first, broken, last = (
        plugin(registry, name, listener) for name, listener in (("a", Ear()), ("b", Broken()), ("c", Ear()))
    )
    events = Events(RUN)
    events.emit("run_started")
    with pytest.warns(UserWarning, match="no room for epoch 1") as caught:
        events.emit("epoch_ended", record=1)
    line = Broken.epoch_ended.__code__.co_firstlineno + 3
    assert [str(warning.message) for warning in caught] == [
        "plugin 'acme/b' failed in epoch_ended and hears no more of this run: ValueError: no room for epoch 1 "
        f"(test_events.py:{line})"
    ]
    events.emit("epoch_ended", record=2)  # a second warning would be an error here
    events.emit("run_ended")
    assert broken.heard == ["run_started", "epoch_ended"]
    for ear in (first, last):
        assert ear.heard == [("run_started", RUN), ("epoch_ended", 1), ("epoch_ended", 2), ("run_ended",)]


def test_every_failing_listener_is_named(registry):
    for name in ("a", "b"):
        plugin(registry, name, Broken())
    with pytest.warns(UserWarning, match="no room for epoch 1") as caught:
        Events(RUN).emit("epoch_ended", record=1)
    assert sorted(str(warning.message).split()[1] for warning in caught) == ["'acme/a'", "'acme/b'"]


def test_listener_that_failed_hears_of_the_next_run(registry):
    broken = plugin(registry, "b", Broken())
    with pytest.warns(UserWarning, match="no room"):
        Events(RUN).emit("epoch_ended", record=1)
    Events(ANOTHER).emit("run_started")
    assert broken.heard == ["epoch_ended", "run_started"]


class Stopping:
    def __init__(self, stop):
        self.stop = stop

    @hookimpl
    def run_started(self):
        raise self.stop


def test_ctrl_c_in_a_listener_is_the_users(registry):
    plugin(registry, "s", Stopping(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Events(RUN).emit("run_started")


def test_a_listener_that_exits_ends_no_run(registry):
    plugin(registry, "s", Stopping(SystemExit(0)))
    ear = plugin(registry, "t", Ear())
    with pytest.warns(UserWarning, match=r"plugin 'acme/s' failed in run_started .*: SystemExit: 0"):
        Events(RUN).emit("run_started")
    assert ear.heard == [("run_started", RUN)]


def test_listening_lasts_as_long_as_its_block():
    one, two, events = Ear(), Ear(), Events(RUN)
    events.emit("run_ended")
    with listening([one, two]):
        events.emit("run_started")
    events.emit("run_ended")
    assert one.heard == two.heard == [("run_started", RUN)]


def test_listening_ends_when_its_block_fails():
    ear = Ear()
    with pytest.raises(RuntimeError), listening([ear]):
        raise RuntimeError
    Events(RUN).emit("run_ended")
    assert ear.heard == []


def test_listening_to_nothing_is_fine(registry):
    ear = plugin(registry, "one", Ear())
    with listening([]):
        Events(RUN).emit("run_ended")
    assert ear.heard == [("run_ended",)]


def test_listener_within_a_block_that_fails_stops_nothing(registry):
    ear, broken, events = plugin(registry, "one", Ear()), Broken(), Events(RUN)
    with listening([broken]):
        with pytest.warns(UserWarning, match="failed in epoch_ended and hears no more of this run"):
            events.emit("epoch_ended", record=1)
        events.emit("epoch_ended", record=2)
    assert broken.heard == ["epoch_ended"]
    assert ear.heard == [("epoch_ended", 1), ("epoch_ended", 2)]


def test_the_callers_own_listener_may_end_the_program():
    with listening([Stopping(SystemExit(1))]), pytest.raises(SystemExit):
        Events(RUN).emit("run_started")
