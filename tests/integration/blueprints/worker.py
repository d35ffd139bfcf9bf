"""The app's registered functions called as the worker calls them, on sessions to a test's own servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import azure.functions as func
import pytest
from azure.functions.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from redis.asyncio import Redis

import function_app
from blueprints import drops, fulfilment, orders
from blueprints.web import operations
from lab.azure.functions_host.service_bus_message import to_function_message
from lab.azure.functions_host.worker.context import Context, TraceContext
from lab.azure.service_bus import Broker
from services import app_services
from services.app_services import AppServices
from services.queue_session.connection import ServiceBusConnection
from services.queue_session.queue_service import QueueService
from services.readiness import Readiness, RecentSends
from services.redis_session.redis_service import RedisService
from services.settings import load_settings
from services.tickets.desk import OrderDesk
from services.tickets.store import OrderStore
from tests.integration.services.tickets.shop import DROP
from tests.plain_pytest import missing

HOST = "localhost:7071"
TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=value")
DESCRIBED: dict[str, Any] = json.loads(operations.openapi_document())
RESPONSES = {
    operation["operationId"]: operation["responses"]
    for path in DESCRIBED["paths"].values()
    for operation in path.values()
}


@dataclass(frozen=True)
class Answer:
    """What a function answered."""

    status: int
    headers: Mapping[str, str]
    media_type: str
    document: Any

    @classmethod
    def of(cls, function: str, response: func.HttpResponse) -> Answer:
        """Fails one that is not as the OpenAPI document says."""
        answer = cls(response.status_code, response.headers, response.mimetype, json.loads(response.get_body()))
        shown = RESPONSES[function][str(answer.status)]
        headers, sent = shown.get("headers", {}), dict(answer.headers)
        assert {name for name, header in headers.items() if header.get("required")} <= set(sent) <= set(headers)
        schema = shown["content"][answer.media_type]["schema"] | {"components": DESCRIBED["components"]}
        if not missing(["openapi_schema_validator"]):
            from openapi_schema_validator import OAS31Validator

            OAS31Validator(schema).validate(answer.document)
        return answer


def install(
    monkeypatch: pytest.MonkeyPatch,
    session: RedisService,
    queue: QueueService,
    *,
    patience_s: float = 0.2,
    problems: tuple[str, ...] = (),
) -> None:
    """Put these sessions in the place of those that the environment made."""
    settings = load_settings({}).model_copy(update={"problems": problems})
    store = OrderStore(session, settings.hold_s)
    desk = OrderDesk(store, queue, patience_s)
    composition = AppServices(
        settings, session, queue, store, desk, Readiness(session, problems, RecentSends()), list(problems)
    )
    monkeypatch.setattr(app_services, "shared", composition)


def queue_on(broker: Broker) -> QueueService:
    return QueueService(ServiceBusConnection(connection_string=broker.connection_string), "orders")


@dataclass
class Worker:
    """A worker process's functions, one method each."""

    redis: Redis
    broker: Broker

    async def put_drop(self, drop: str = DROP, body: bytes | None = None, **values: Any) -> Answer:
        content = json.dumps({"stock": 10, "per_customer": 5} | values).encode() if body is None else body
        return Answer.of("put_drop", await drops.put_drop(_request("PUT", f"drops/{drop}", content, drop_id=drop)))

    async def get_drop(self, drop: str = DROP) -> Answer:
        return Answer.of("get_drop", await drops.get_drop(_request("GET", f"drops/{drop}", drop_id=drop)))

    async def place_order(
        self,
        key: str | None = "key-1",
        *,
        drop: str = DROP,
        body: bytes | None = None,
        content_type: str = "application/json",
        encoding: str | None = None,
        mount: str = "/api",
        trace: TraceContext = TRACE,
        host: str = HOST,
        **values: Any,
    ) -> Answer:
        content = json.dumps({"customer_id": "ann", "quantity": 2} | values).encode() if body is None else body
        headers = {"content-type": content_type} | ({} if key is None else {"idempotency-key": key})
        headers |= {} if encoding is None else {"content-encoding": encoding}
        request = _request("POST", f"drops/{drop}/orders", content, headers, host, mount, drop_id=drop)
        return Answer.of("place_order", await orders.place_order(request, Context("id", "place_order", ".", trace)))

    async def placed(self) -> Answer:
        """Repeat the order while it is answered 503, as the API asks for."""
        while (answer := await self.place_order()).status == 503:  # noqa: ASYNC110 - Service Bus tells nobody
            await asyncio.sleep(0.1)
        return answer

    async def get_order(self, order: str, drop: str = DROP) -> Answer:
        request = _request("GET", f"drops/{drop}/orders/{order}", drop_id=drop, order_id=order)
        return Answer.of("get_order", await orders.get_order(request))

    async def list_orders(self, drop: str = DROP, **query: str) -> Answer:
        request = _request("GET", f"drops/{drop}/orders", query=query, drop_id=drop)
        return Answer.of("list_orders", await orders.list_orders(request))

    async def health(self) -> Answer:
        return Answer.of("health", await function_app.health(_request("GET", "health")))

    async def ready(self) -> Answer:
        return Answer.of("ready", await function_app.ready(_request("GET", "health/ready")))

    async def openapi(self) -> Answer:
        return Answer.of("openapi", await function_app.openapi(_request("GET", "openapi.json")))

    @staticmethod
    async def fulfil(body: bytes | dict[str, Any], message_id: str = "m1") -> None:
        raw = json.dumps(body).encode() if isinstance(body, dict) else body
        message = ServiceBusMessage(body=raw, message_id=message_id, application_properties={}, user_properties={})
        await fulfil(message)

    async def messages(self, count: int) -> list[func.ServiceBusMessage]:
        """That many messages taken from the queue, as the worker would hand them to the function."""
        taken: list[Any] = []
        async with (
            ServiceBusClient.from_connection_string(self.broker.connection_string) as client,
            client.get_queue_receiver("orders") as receiver,
        ):
            async with asyncio.timeout(20):
                while len(taken) < count:
                    taken += await receiver.receive_messages(max_message_count=count - len(taken), max_wait_time=5)
            for message in taken:
                await receiver.complete_message(message)
        return [to_function_message(message) for message in taken]

    def waiting(self) -> int:
        """How many messages lie on the queue."""
        return self.broker.stats("orders")["active"]


async def fulfil(message: func.ServiceBusMessage, trace: TraceContext = TRACE) -> None:
    """Call fulfil_order as the worker does."""
    await fulfilment.fulfil_order(message, Context("id", "fulfil_order", ".", trace))


def _request(
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    host: str = HOST,
    mount: str = "/api",
    query: Mapping[str, str] | None = None,
    **route: str,
) -> func.HttpRequest:
    return func.HttpRequest(
        method,
        f"http://{host}{mount}/{path}?{urlencode({'code': 'function-key', **(query or {})})}",
        headers={"content-type": "application/json"} if headers is None else headers,
        params={"code": "function-key"} | {name: text for name, text in (query or {}).items() if text},
        route_params=route,
        body=body,
    )
