"""What happens in a run, told to every plugin that listens."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from genkit.errors import in_a_line, place
from genkit.registry.registry import installed, registry


class Events:
    """Tells listeners of a run's events. One that fails is named, hears no more of this run, and stops nothing.

    A KeyboardInterrupt is the user's, and goes on; so does the exit of a listener that the caller brought.

    Args:
        run: what the listeners are told about.
    """

    def __init__(self, run: Any) -> None:
        self.run = run
        self.parts = installed(run.config.plugins)
        self.silenced: set[str] = set()

    def emit(self, event: str, **arguments: Any) -> None:
        """Call everybody who listens to `event`."""
        known = {"run": self.run, **arguments}
        for name, implementation in self.parts.listeners(event):
            if name in self.silenced:
                continue
            try:
                implementation.function(**{argument: known[argument] for argument in implementation.argnames})
            except (Exception, SystemExit) as error:
                if isinstance(error, SystemExit) and not self.parts.is_plugin(name):
                    raise  # the caller's own listener ends the program, as a progress bar does whose pipe is closed
                self.silenced.add(name)
                message = f"plugin '{name}' failed in {event} and hears no more of this run"
                warnings.warn(f"{message}: {in_a_line(error)}{place(error)}", stacklevel=2)


@contextlib.contextmanager
def listening(listeners: Iterable[object]) -> Iterator[None]:
    """Let objects with hook implementations (a progress bar) hear the events inside the block."""
    manager = registry().manager
    with contextlib.ExitStack() as stack:
        for listener in listeners:
            manager.register(listener, name=f"{type(listener).__name__} {id(listener)}")
            stack.callback(manager.unregister, listener)
        yield
