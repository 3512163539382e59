"""What genkit asks of everything that follows a run."""

from __future__ import annotations

from typing import Any

import pytest

import genkit_mlflow

testing = pytest.importorskip("genkit.testing", reason="this genkit has no genkit.testing yet")


@pytest.mark.parametrize("check", testing.contract(genkit_mlflow))
def test_contract(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    check()
