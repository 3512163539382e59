"""Signals wait for the step that runs."""

import os
import signal
import threading

import pytest

from genkit.training.signals import deferred, end, end_or_remember, handled


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_waits_and_the_second_does_not(name):
    number, before = getattr(signal, name), signal.getsignal(getattr(signal, name))
    with deferred() as signals:
        os.kill(os.getpid(), number)
        assert signals.number == number
        with pytest.raises(KeyboardInterrupt if name == "SIGINT" else SystemExit):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_the_exit_code_is_that_of_the_signal():
    with pytest.raises(SystemExit) as ended:
        end(signal.SIGTERM)
    assert ended.value.code == 143
    with pytest.raises(KeyboardInterrupt):
        end(signal.SIGINT)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with deferred() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
        assert signals.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_leave_the_handlers_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with handled(lambda *_: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_whose_exception_was_swallowed_is_met_by_the_training_that_follows(number, error):
    with handled(end_or_remember), pytest.raises(error):
        os.kill(os.getpid(), number)
    with deferred() as met:
        assert met.number == number
    with deferred() as met:
        assert met.number is None
