"""The app as the Python worker runs it with telemetry on: the SDK set up first, then the app imported and served.

A process of its own, for the providers of OpenTelemetry can be set once. Places orders over HTTP, waits until each is
decided, and prints what was exported. `sdk_tracing`: with the Service Bus SDK's own spans, which
azure-monitor-opentelemetry turns on. `settings`: the app's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterable
from typing import Any

import httpx
from azure.core.settings import settings as azure_core
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lab.azure.functions_host import HostConfig
from lab.azure.functions_host.worker.app import find_app
from tests import ROOT
from tests.integration.lab.azure.hosting import serving

STANDARD = set(vars(logging.makeLogRecord({}))) | {"message"}


class Lines(logging.Handler):
    """Keeps the app's log lines with their fields, as an exporter of logs does."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: value for name, value in vars(record).items() if name not in STANDARD}
        self.lines.append({"logger": record.name, "message": record.getMessage(), "fields": fields})


async def main(asked: dict[str, Any]) -> dict[str, Any]:
    exporter, reader, lines = InMemorySpanExporter(), InMemoryMetricReader(), Lines()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    logging.getLogger().addHandler(lines)
    logging.getLogger().setLevel(logging.INFO)
    if asked["sdk_tracing"]:
        azure_core.tracing_implementation = "opentelemetry"
    os.environ.update(asked["settings"])
    import function_app

    config = HostConfig.load(ROOT, asked["settings"])
    async with serving(find_app(function_app), config=config, settings=asked["settings"], key=asked["key"]) as served:
        served.http.headers["x-functions-key"] = asked["key"]
        orders = await _sell(served.http, asked["traces"])
        data = reader.get_metrics_data()
    await _close()
    spans = [json.loads(span.to_json()) for span in exporter.get_finished_spans()]
    return {"orders": orders, "spans": spans, "logs": lines.lines, "metrics": _values(data)}


async def _sell(http: httpx.AsyncClient, traces: list[str]) -> list[Any]:
    (await http.put("/api/drops/d", json={"stock": 100, "per_customer": 100})).raise_for_status()
    return list(await asyncio.gather(*(_order(http, number, parent) for number, parent in enumerate(traces))))


async def _order(http: httpx.AsyncClient, number: int, parent: str) -> Any:
    """The order as it is once it is decided."""
    headers = {"Idempotency-Key": f"idempotency-key-{number}", "traceparent": parent}
    body = {"customer_id": f"customer-{number}", "quantity": 1}
    answer = (await http.post("/api/drops/d/orders", json=body, headers=headers)).raise_for_status()
    async with asyncio.timeout(30):
        while True:
            order = (await http.get(answer.headers["Location"])).raise_for_status().json()
            if order["status"] != "queued":
                return order
            await asyncio.sleep(0.05)


async def _close() -> None:
    from services import app_services

    with contextlib.suppress(Exception):
        await app_services.shared.queue_service.aclose()
        await app_services.shared.redis_service.aclose()


def _values(data: MetricsData | None) -> dict[str, Any]:
    """Metric name -> its value; apart by attributes, a list of (attributes, value)."""
    found: dict[str, Any] = {}
    for metric in _metrics(data):
        points = [(dict(point.attributes or {}), point.value) for point in metric.data.data_points]
        found[metric.name] = points[0][1] if len(points) == 1 and not points[0][0] else points
    return found


def _metrics(data: MetricsData | None) -> Iterable[Any]:
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            yield from scope.metrics


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
