"""The events of a run and their listeners: the caller's, those of plugins, and the hooks of plugins."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from genkit.errors import RunError, in_a_line, place
from genkit.record.run import Run
from genkit.record.scores import EpochRecord
from genkit.registry.hooks import EVENTS
from genkit.registry.parts import Parts
from genkit.registry.registry import installed

Failed = Callable[[str, str, BaseException], None]
"""A function to call when a listener fails: it takes the listener's name, the event, and the error."""


class Hearer(NamedTuple):
    """A listener of a run, or a plugin's hooks."""

    name: str
    """The name in messages."""
    key: str | int
    """A key that a plugin's hooks and its listener share; each of the caller's listeners has its own."""
    target: object
    """The object whose methods are named as the events; None: a plugin's hooks."""


def _warn(name: str, event: str, error: BaseException) -> None:
    message = f"{name} failed in {event} and hears no more of this run"
    warnings.warn(f"{message}: {in_a_line(error)}{place(error)}", stacklevel=2)


class Events:
    """Calls the listeners of a run at its events. A listener that fails is named and silenced, and stops nothing.

    A KeyboardInterrupt comes from the user and is raised; so is the exit of one of the caller's listeners. At each
    event the caller's listeners come first, then the listeners of plugins, then the hooks of plugins.

    Args:
        run: the run to follow.
        listeners: the caller's listeners.
        plugins: the plugins whose hooks are called; by default those that the run's config wants.
        failed: the function to call when a listener fails; by default it warns.

    Raises:
        RunError: one of the caller's listeners has no method named as an event.
    """

    def __init__(
        self, run: Run, listeners: Iterable[object] = (), plugins: Parts | None = None, failed: Failed = _warn
    ) -> None:
        self.run = run
        self.plugins = _plugins_of(run) if plugins is None else plugins
        self.failed = failed
        self.stopped_by: str | None = None
        """The name of the first listener that wanted training to end; None: no listener did."""
        self._hearers = [Hearer(f"listener '{type(each).__name__}'", id(each), each) for each in listeners]
        self._silenced: set[str | int] = set()
        for hearer in self._hearers:
            if not _events_of(hearer.target):
                raise RunError(f"{hearer.name} hears nothing of a run: it has none of the methods {', '.join(EVENTS)}")

    def begin(self) -> None:
        """Ask every plugin for its listener of this run, then say that the run has started."""
        for hearer, hook in list(self._hooks("listener")):
            with self._silencing(hearer, "listener"):
                listener = _call(hook, {"run": self.run})
                if listener is not None and not _events_of(listener):
                    raise TypeError(f"it gives {listener!r:.80}, which has none of the methods {', '.join(EVENTS)}")
                if listener is not None:
                    self._hearers.append(hearer._replace(target=listener))
        self.emit("run_started")

    def emit(self, event: str, **arguments: Any) -> None:
        """Call everybody who listens to `event`."""
        for hearer, function in self._listening(event):
            with self._silencing(hearer, event):
                _call(function, {"run": self.run, **arguments})

    def should_stop(self, record: EpochRecord) -> bool:
        """Whether anybody wants training to end with this epoch; everybody who listens to `should_stop` is asked."""
        answers = {}
        for hearer, function in self._listening("should_stop"):
            with self._silencing(hearer, "should_stop"):
                answers[hearer.name] = bool(_call(function, {"run": self.run, "record": record}))
        self.stopped_by = next((name for name, answer in answers.items() if answer), None)
        return self.stopped_by is not None

    def _listening(self, event: str) -> Iterator[tuple[Hearer, Callable[..., Any]]]:
        for hearer in self._hearers:
            method = getattr(hearer.target, event, None)
            if hearer.key not in self._silenced and callable(method):
                yield hearer, method
        yield from self._hooks(event)

    def _hooks(self, hook: str) -> Iterator[tuple[Hearer, Callable[..., Any]]]:
        for name, implementation in self.plugins.listeners(hook):
            if name not in self._silenced:
                yield Hearer(f"plugin '{name}'", name, None), implementation.function

    @contextlib.contextmanager
    def _silencing(self, hearer: Hearer, event: str) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and isinstance(hearer.key, int):
                raise  # the caller's own listener ends the program, such as a progress bar with a closed pipe
            self._silenced.add(hearer.key)
            self.failed(hearer.name, event, error)


def _plugins_of(run: Run) -> Parts:
    return installed(run.config.plugins)


def _events_of(target: object) -> list[str]:
    """The events for which an object has a method."""
    return [event for event in EVENTS if callable(getattr(target, event, None))]


def _call(function: Callable[..., Any], values: dict[str, Any]) -> Any:
    """Call a function with the arguments that its signature names."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return function(**values)
    return function(**{each.name: values[each.name] for each in parameters if each.name in values})
