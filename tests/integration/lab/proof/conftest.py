"""What the proofs' tests share: a Service Bus that is slow because both cores are busy is waited for."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def patient_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's own look at a queue; the app's clients, in processes of their own, are as they ship."""
    monkeypatch.setattr("lab.azure.service_bus_connection.TRY_TIMEOUT_S", 60.0)
