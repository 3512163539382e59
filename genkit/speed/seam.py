"""The seam to private torch: a name that a version of torch does not have is done without, and a warning says so once.

Private names are imported where they are used first, so that nothing else needs them.
"""

from __future__ import annotations

import functools
import warnings

import torch

from genkit.errors import GenkitWarning, in_a_line

MISSING = (ImportError, AttributeError)
"""What looking up a name raises where it is missing."""


def do_without(error: Exception, instead: str) -> None:
    """Say, once in a process, what is missing and what is done instead.

    Args:
        error: what looking up the name raised.
        instead: a clause, such as "Adam takes its steps by torch.optim".
    """
    _warn_once(f"torch {torch.__version__} lacks something that genkit makes use of ({in_a_line(error)}): {instead}")


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, GenkitWarning, stacklevel=3)
