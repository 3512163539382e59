import re
import warnings

import pytest

from genkit.errors import GenkitWarning
from genkit.speed import seam

FORM = re.compile(r"torch \S+ lacks something that genkit makes use of \(.*'(\w+)'.*\): (.*)")


@pytest.fixture
def said():
    """The warnings of missing names so far: the name, and what is done instead."""
    seam._warn_once.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GenkitWarning)
        yield lambda: [FORM.sub(r"\1: \2", str(each.message)) for each in caught]
    seam._warn_once.cache_clear()
