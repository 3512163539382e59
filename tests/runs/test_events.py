"""What listeners hear of a run, what they have a say in, and what becomes of those that fail."""

import pytest

from genkit import hookimpl
from genkit.errors import RunError
from genkit.registry.plugin import Plugin
from genkit.registry.registry import Registry
from genkit.runs.events import Events


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


class Gives:
    """A plugin that gives a listener for each run, and counts what it is asked for."""

    def __init__(self, make):
        self.make = make
        self.given = []

    @hookimpl
    def listener(self, run):
        self.given.append(self.make(run))
        return self.given[-1]


class Says:
    """Has one answer to the question of whether training ends."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    @hookimpl
    def should_stop(self, run, record):
        self.asked.append((run, record))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    made = Registry()
    monkeypatch.setattr("genkit.runs.events._plugins_of", lambda run: made.parts())
    return made


def plugin(registry, name, listener):
    registry.add(listener, Plugin(name, "acme", "1.0"))
    return listener


def test_listeners_hear_the_run_and_what_else_they_ask_for(registry):
    ears = [plugin(registry, name, Ear()) for name in ("one", "two")]
    events = Events("the run")
    events.begin()
    events.emit("epoch_ended", record=1)
    events.emit("run_ended")
    for ear in ears:
        assert ear.heard == [("run_started", "the run"), ("epoch_ended", 1), ("run_ended",)]


def test_event_without_listeners_is_none_of_anybodys_business(registry):
    ear = plugin(registry, "one", Ear())
    Events("the run").emit("step_ended", progress=None)
    assert ear.heard == []


def test_failing_listener_is_named_once_and_hears_no_more_while_others_go_on(registry):
    first, broken, last = (
        plugin(registry, name, listener) for name, listener in (("a", Ear()), ("b", Broken()), ("c", Ear()))
    )
    events = Events("the run")
    events.begin()
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
        assert ear.heard == [("run_started", "the run"), ("epoch_ended", 1), ("epoch_ended", 2), ("run_ended",)]


def test_every_failing_listener_is_named(registry):
    for name in ("a", "b"):
        plugin(registry, name, Broken())
    with pytest.warns(UserWarning, match="no room for epoch 1") as caught:
        Events("the run").emit("epoch_ended", record=1)
    assert sorted(str(warning.message).split()[1] for warning in caught) == ["'acme/a'", "'acme/b'"]


def test_listener_that_failed_hears_of_the_next_run(registry):
    broken = plugin(registry, "b", Broken())
    with pytest.warns(UserWarning, match="no room"):
        Events("one run").emit("epoch_ended", record=1)
    Events("another run").begin()
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
        Events("the run").begin()


def test_a_listener_that_exits_ends_no_run(registry):
    plugin(registry, "s", Stopping(SystemExit(0)))
    ear = plugin(registry, "t", Ear())
    with pytest.warns(UserWarning, match=r"plugin 'acme/s' failed in run_started .*: SystemExit: 0"):
        Events("the run").begin()
    assert ear.heard == [("run_started", "the run")]


def test_the_callers_listeners_hear_their_run_alone_and_before_plugins(registry):
    order = []

    class First(Ear):
        def run_ended(self):
            order.append("mine")

    class Second(Ear):
        @hookimpl
        def run_ended(self):
            order.append("plugin's")

    plugin(registry, "p", Second())
    mine = First()
    Events("another run").begin()
    events = Events("the run", [mine])
    events.begin()
    events.emit("run_ended")
    assert mine.heard == [("run_started", "the run")]
    assert order == ["mine", "plugin's"]


def test_a_listener_needs_no_marks():
    class Plain:
        def __init__(self):
            self.heard = []

        def epoch_ended(self, **everything):
            self.heard.append(everything)

        def run_ended(self, run, sign="!"):
            self.heard.append(run + sign)

    plain = Plain()
    events = Events("the run", [plain])
    events.begin()
    events.emit("epoch_ended", record=1)
    events.emit("run_ended")
    assert plain.heard == [{"run": "the run", "record": 1}, "the run!"]


def test_what_hears_nothing_is_no_listener():
    with pytest.raises(RunError, match=r"listener 'object' hears nothing of a run: .* run_started, step_ended"):
        Events("the run", [object()])


def test_a_listener_of_the_callers_that_fails_stops_nothing_and_silences_no_other(registry):
    ear, broken, other = plugin(registry, "one", Ear()), Broken(), Broken()
    events = Events("the run", [broken, other])
    other.epoch_ended = lambda: other.heard.append("well")
    with pytest.warns(UserWarning, match="listener 'Broken' failed in epoch_ended and hears no more of this run"):
        events.emit("epoch_ended", record=1)
    events.emit("epoch_ended", record=2)
    assert broken.heard == ["epoch_ended"]
    assert other.heard == ["well", "well"]
    assert ear.heard == [("epoch_ended", 1), ("epoch_ended", 2)]


def test_the_callers_own_listener_may_end_the_program():
    with pytest.raises(SystemExit):
        Events("the run", [Stopping(SystemExit(1))]).begin()


def test_a_plugin_gives_one_listener_a_run_which_hears_that_run_alone(registry):
    gives = plugin(registry, "g", Gives(lambda run: Ear()))
    one, two = Events("one"), Events("two")
    for events in (one, two):
        events.begin()
    one.emit("epoch_ended", record=1)
    two.emit("epoch_ended", record=2)
    one.emit("run_ended")
    assert [ear.heard for ear in gives.given] == [
        [("run_started", "one"), ("epoch_ended", 1), ("run_ended",)],
        [("run_started", "two"), ("epoch_ended", 2)],
    ]


def test_a_plugin_may_leave_a_run_alone(registry):
    gives = plugin(registry, "g", Gives(lambda run: None))
    Events("the run").begin()
    assert gives.given == [None]


def test_a_given_listener_that_fails_is_named_as_its_plugin_and_silenced_with_it(registry):
    class Both(Gives):
        @hookimpl
        def run_ended(self):
            raise AssertionError("it has failed before")

    gives = plugin(registry, "g", Both(lambda run: Broken()))
    events = Events("the run")
    events.begin()
    with pytest.warns(UserWarning, match="plugin 'acme/g' failed in epoch_ended and hears no more of this run"):
        events.emit("epoch_ended", record=1)
    events.emit("epoch_ended", record=2)
    events.emit("run_ended")
    assert gives.given[0].heard == ["run_started", "epoch_ended"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda run: 1 / 0, "ZeroDivisionError"),
        (lambda run: True, "TypeError: it gives True, which has none of the methods run_started"),
    ],
)
def test_a_plugin_that_gives_no_listener_is_named_and_silenced(registry, make, said):
    plugin(registry, "g", Gives(make))
    ear = plugin(registry, "h", Ear())
    with pytest.warns(UserWarning, match=f"plugin 'acme/g' failed in listener and hears no more of this run: {said}"):
        Events("the run").begin()
    assert ear.heard == [("run_started", "the run")]


def test_what_asks_for_an_unknown_argument_is_told_which():
    class Misnamed:
        def epoch_ended(self, epoch):
            pass

    with pytest.warns(UserWarning, match="listener 'Misnamed' failed in epoch_ended .*'epoch'"):
        Events("the run", [Misnamed()]).emit("epoch_ended", record=1)


def test_training_ends_when_anybody_says_so_and_all_are_asked(registry):
    no, yes, hook = Says(False), Says(True), plugin(registry, "s", Says(None))
    given = plugin(registry, "g", Gives(lambda run: Says(0)))
    events = Events("the run", [no, Ear(), yes])
    events.begin()
    assert events.should_stop("a record")
    assert events.stopped_by == "listener 'Says'"
    for each in (no, yes, hook, *given.given):
        assert each.asked == [("the run", "a record")]


@pytest.mark.parametrize("answers", [[], [False, None]])
def test_training_goes_on_where_nobody_says_otherwise(answers):
    events = Events("the run", map(Says, answers))
    assert not events.should_stop("a record")
    assert events.stopped_by is None


def test_an_answer_that_fails_is_none(registry):
    plugin(registry, "s", Says(ValueError("no figures")))
    events = Events("the run")
    with pytest.warns(UserWarning, match="plugin 'acme/s' failed in should_stop and hears no more of this run"):
        assert not events.should_stop("a record")
    assert not events.should_stop("another")


def test_plugins_that_ask_to_be_first_or_last_are(registry):
    order = []

    def ordered(name, **options):
        class Ordered:
            @hookimpl(**options)
            def run_ended(self):
                order.append(name)

        plugin(registry, name, Ordered())

    ordered("last", trylast=True)
    ordered("first", tryfirst=True)
    ordered("one")
    ordered("two")
    Events("the run").emit("run_ended")
    assert (order[0], order[-1]) == ("first", "last")


def test_a_hook_of_another_name_is_called_by_that_of_its_specification(registry):
    class Named:
        heard = ()

        @hookimpl(specname="epoch_ended")
        def note(self, record):
            self.heard += (record,)

    named = plugin(registry, "n", Named())
    Events("the run").emit("epoch_ended", record=1)
    assert named.heard == (1,)
