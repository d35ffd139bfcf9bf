"""What the spikes of these tests need of the Service Bus SDK."""

from __future__ import annotations

from tests.integration.lab.azure.service_bus.conftest import hurried_sdk

__all__ = ["hurried_sdk"]
