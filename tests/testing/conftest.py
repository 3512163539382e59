from __future__ import annotations

from collections.abc import Callable

import pytest

from genkit.testing import checks


@pytest.fixture
def failures() -> Callable[..., dict[str, str]]:
    """`failures(component, ...)`: the checks that it fails, each with what its author is told."""

    def found(*arguments, **options):
        results = [check.result() for check in checks(*arguments, **options)]
        return {result.check: result.message for result in results if result.status == "FAILED"}

    return found
