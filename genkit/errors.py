"""Errors that a user can mend.

Each message names the thing, the place and the remedy. The command line prints it without a traceback and exits
with code 2; from Python it is an ordinary exception.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from genkit.text import printable

LIBRARIES = {*sys.stdlib_module_names, "genkit", "numpy", "pluggy", "pydantic", "pydantic_core", "torch"}
"""The packages that are rarely at fault: `place` looks outside of them."""
MOST, LONGEST = 100, 4_000
"""The largest number of faults in one error, and of characters of one."""


class GenkitError(Exception):
    """The base of all errors that a user can mend.

    Args:
        faults: one text per fault. Each stays on a line of its own, whatever names and messages it quotes.
    """

    def __init__(self, *faults: object) -> None:
        more = [f"and {len(faults) - MOST:,} more"] if len(faults) > MOST else []
        super().__init__(*(printable(fault, LONGEST) for fault in (*faults[:MOST], *more)))

    def __str__(self) -> str:
        return "\n".join(self.args)


class ConfigError(GenkitError):
    """The config is wrong; the message lists all of its faults at once."""


class ComponentError(GenkitError):
    """A component is missing, could not be loaded, or does not fit the parts around it."""


class DataError(GenkitError):
    """The data cannot be read, or the model does not take them."""


class TrainingError(GenkitError):
    """Training cannot go on: a term is no longer a finite number."""


class MetricError(GenkitError):
    """A metric cannot be computed: model or data lack what it needs, or it fails."""


class RunError(GenkitError):
    """A run directory cannot be written, read or resumed."""


class WeightsError(GenkitError):
    """A weights file is damaged, is not genkit's, or does not fit the model that its config describes."""


class HubError(GenkitError):
    """The Hugging Face Hub cannot be reached, lacks the repository or the file, or refuses to be written to."""


class ScaffoldError(GenkitError):
    """A new plugin cannot be written with the requested options."""


class GenkitWarning(UserWarning):
    """A fact that a user should know, and that stops nothing."""


def in_a_line(error: BaseException) -> str:
    """An error on one line, as messages quote it, even where its text cannot be read."""
    try:
        text = printable(" ".join(str(error).split()))
    except Exception:
        text = "(it has no text)"
    return f"{type(error).__name__}: {text}".removesuffix(": ")[:300]


def place(error: BaseException, package: str | None = None) -> str:
    """The place in a plugin's code that raised an error, as a suffix: ` (wavelet.py:12)`; empty for other code.

    Args:
        error: the error.
        package: the package of the plugin's code; None: any but the LIBRARIES.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if name == package or (package is None and name not in LIBRARIES):
            path = Path(frame.f_code.co_filename)
            file = f"{path.parent.name}/{path.name}" if path.stem == "__init__" else path.name
            return f" ({file}:{line})"
    return ""
