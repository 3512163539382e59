"""The contract of listeners."""

from __future__ import annotations

from typing import Any

import pytest
from genkit.testing import contract

import genkit_mlflow


@pytest.mark.parametrize("check", contract(genkit_mlflow))
def test_contract(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    check()
