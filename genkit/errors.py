"""What can go wrong in a way that the user can mend.

Each message names the thing, the place and the remedy. The command line prints it without a traceback and exits
with code 2; from Python it is an ordinary exception.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

LIBRARIES = {*sys.stdlib_module_names, "genkit", "numpy", "pluggy", "pydantic", "pydantic_core", "torch"}
"""Whose code is not where a user has to look first."""


class GenkitError(Exception):
    """The base of all errors that a user can mend."""


class ConfigError(GenkitError):
    """The config says something that cannot be; all that is wrong with it is listed at once."""


class ComponentError(GenkitError):
    """A component is missing, could not be loaded, or does not fit the parts around it."""


class DataError(GenkitError):
    """The data cannot be read, or is not what the model takes."""


class TrainingError(GenkitError):
    """Training cannot go on: a term is no longer a finite number."""


class RunError(GenkitError):
    """A run directory cannot be written, read or resumed."""


class WeightsError(GenkitError):
    """A weights file is damaged, is not genkit's, or does not fit the model that its config describes."""


class HubError(GenkitError):
    """The Hugging Face Hub cannot be reached, has not what it is asked for, or does not let it be written."""


class ScaffoldError(GenkitError):
    """A new plugin cannot be written as it was asked for."""


class GenkitWarning(UserWarning):
    """Something that a user should know and that stops nothing."""


def in_a_line(error: BaseException) -> str:
    """An error as messages quote it, also where it cannot say what it is."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "(it has no text)"
    return f"{type(error).__name__}: {text}".removesuffix(": ")[:300]


def place(error: BaseException) -> str:
    """Where a plugin's code raised an error, to stand behind it: ` (wavelet.py:12)`; empty where none of it did."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in LIBRARIES:
            path = Path(frame.f_code.co_filename)
            file = f"{path.parent.name}/{path.name}" if path.stem == "__init__" else path.name
            return f" ({file}:{line})"
    return ""
