"""Each query of docs/operations.md over the log finds lines that the app, in that trouble, has really logged."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from lab.azure.redis_server import RedisServer
from lab.azure.service_bus import Broker
from services.errors import Undecidable
from services.redis_session import RedisService
from services.redis_session.redis_service import Clocks
from tests.integration.blueprints.worker import Worker, install, queue_on
from tests.integration.services.tickets.shop import DROP
from tests.pages import blocks, page
from tests.waiting import until

ORDER_OF_THE_PAGE = "3ebd13ef-d6dd-54f3-a2e0-2c3e3f434380"
QUERIES = [query for query in blocks(page("operations.md"), "kusto") if re.search(r"^ *traces$", query, re.MULTILINE)]
FINDS: dict[str, Callable[[str, str], bool]] = {  # KQL's, which ignore upper and lower case
    "startswith": lambda line, text: line.lower().startswith(text.lower()),
    "endswith": lambda line, text: line.lower().endswith(text.lower()),
    "contains": lambda line, text: text.lower() in line.lower(),
    "has": lambda line, text: re.search(rf"\b{re.escape(text)}\b", line, re.IGNORECASE) is not None,
}


def conditions(query: str) -> list[list[tuple[str, str]]]:
    """What a query asks of a message: any of these, each of them all of its parts."""
    asked = re.search(r"\| where (message .*(?:\n +or message .*)*)", query)
    alternatives = re.split(r"\s+or\s+", asked[1]) if asked else []
    return [re.findall(r'message (\w+) "([^"]+)"', alternative) for alternative in alternatives]


class Logged(NamedTuple):
    """What was logged, and the id of an order that was confirmed."""

    records: list[logging.LogRecord]
    order_id: str

    @property
    def confirmed(self) -> logging.LogRecord:
        (found,) = [record for record in self.records if record.getMessage().endswith(": confirmed")]
        return found


@pytest.fixture
async def logged(broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Logged:
    """Of an app that meets each trouble of the page."""
    caplog.set_level(logging.INFO)
    with RedisServer() as server:
        session, queue = RedisService(server.url, clocks=Clocks(outage_s=0.5)), queue_on(broker)
        install(monkeypatch, session, queue, problems=("HOLD_S: is bad",))
        async with Redis.from_url(server.url) as client:
            worker = Worker(client, broker)
            await worker.put_drop()
            answer = await worker.place_order()
            await worker.fulfil(answer.document)
            with contextlib.suppress(Undecidable):
                await worker.fulfil(b"not json")
            broker.stop()
            await worker.place_order("another")
            server.kill()
            await worker.get_drop()
            server.start()
            await until(lambda: not session._outage_known())
            await worker.get_drop()
        await queue.aclose()
        await session.aclose()
    records = [record for record in caplog.records if record.name.split(".")[0] in ("services", "blueprints")]
    return Logged(records, answer.document["order_id"])


async def test_every_query_over_the_log_finds_lines_that_were_logged(logged: Logged) -> None:
    lines, asked = [record.getMessage() for record in logged.records], 0
    for query in QUERIES:
        for parts in conditions(query.replace(ORDER_OF_THE_PAGE, logged.order_id)):
            asked += len(parts)
            found = [line for line in lines if all(FINDS[how](line, text) for how, text in parts)]
            assert found, f"no line for {parts} among {lines}"
    assert asked == len(re.findall(r"\b(?:where|and|or) message ", page("operations.md"))) >= 8


async def test_the_query_of_confirmed_orders_reads_order_and_drop_off_the_line(logged: Logged) -> None:
    (said,) = re.findall(r"\| parse message with (.*)", page("operations.md"))
    parts = re.findall(r'"([^"]*)"|(\w+)', said)
    pattern = "".join(re.escape(text) if text else f"(?P<{name}>.*?)" for text, name in parts)
    found = re.fullmatch(pattern, logged.confirmed.getMessage())
    assert found is not None
    assert found.groupdict() == {"order_id": logged.order_id, "drop_id": DROP}


async def test_every_field_that_a_query_names_is_on_the_line_of_an_order(logged: Logged) -> None:
    named = {name for query in QUERIES for name in re.findall(r"customDimensions\.([a-z_]+)", query)}
    assert named == {"order_id", "invocation_id", "outcome"}
    assert named <= vars(logged.confirmed).keys()
