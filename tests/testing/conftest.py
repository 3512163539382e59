from __future__ import annotations

from collections.abc import Callable

import pytest

from genkit.testing import checks, modules


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """`failures(component, ...)`: the checks that it fails, each with what its author is told; some may be left out."""
    monkeypatch.setattr(modules, "BACKEND", "eager")  # shows what breaks a graph as well, in half the time

    def found(*arguments, without=(), **options):
        results = [check.result() for check in checks(*arguments, **options) if check.name not in without]
        return {result.check: result.message for result in results if result.status == "FAILED"}

    return found
