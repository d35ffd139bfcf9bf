"""The front of a fleet: who gets a request, and what becomes of it if its instance is gone, frozen or leaving."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from lab.proof.fleet.fleet import Fleet, Instance
from lab.proof.fleet.front import Front
from lab.proof.fleet.instance import Group
from tests.integration.lab.proof.fleet.conftest import WAIT_S, begun, finished

Http = httpx.AsyncClient


async def who(http: Http) -> int:
    """The process that answers."""
    answer = await http.get("/api/who")
    assert answer.status_code == 200
    return int(answer.text)


def pids(instances: list[Instance]) -> set[int]:
    return {instance.pid for instance in instances}


@pytest.fixture
async def four(fleet: Fleet) -> list[Instance]:
    return await fleet.grow(Group.HTTP, 4)


async def test_equal_instances_take_requests_in_turn(four: list[Instance], http: Http) -> None:
    answered = [await who(http) for _ in range(8)]
    assert sorted(answered) == sorted([*pids(four), *pids(four)])


async def test_a_request_goes_to_the_instance_that_has_least_to_do(
    four: list[Instance], http: Http, redis: Any
) -> None:
    """One that holds a request has more to do than the others."""
    held = [asyncio.create_task(http.get("/api/held")) for _ in range(3)]
    busy = {await begun(redis) for _ in held}
    assert len(busy) == 3
    idle = pids(four) - busy
    assert {await who(http) for _ in range(4)} == idle
    await redis.rpush("release", *range(3))
    assert {int((await finished(one)).text) for one in held} == busy


async def test_a_request_and_its_answer_pass_as_they_are(fleet: Fleet, http: Http) -> None:
    await fleet.grow(Group.HTTP, 1)
    answer = await http.put("/api/echo/a%2Fb%20c?x=1&y=2", content=b"body", headers={"X-Key": "order-1"})
    assert answer.json() == {
        "method": "PUT",
        "name": "a%2Fb c",
        "query": {"x": "1", "y": "2"},
        "body": "body",
        "key": "order-1",
    }
    assert (answer.status_code, answer.headers["location"]) == (418, "/there")


async def test_with_no_instance_there_it_is_503_with_a_retry_after(fleet: Fleet, http: Http) -> None:
    answer = await http.get("/api/who")
    assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (503, True)


async def test_the_request_of_a_killed_instance_is_503_with_a_retry_after(
    fleet: Fleet, four: list[Instance], http: Http, redis: Any
) -> None:
    held = asyncio.create_task(http.post("/api/held"))
    victim = await begun(redis)
    fleet.kill(next(one for one in four if one.pid == victim))
    answer = await finished(held)
    assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (503, True)


async def test_after_a_kill_requests_go_elsewhere(fleet: Fleet, four: list[Instance], http: Http) -> None:
    fleet.kill(four[1])
    await fleet.wait_gone([four[1]])
    assert {await who(http) for _ in range(8)} == pids(four) - {four[1].pid}


@contextlib.asynccontextmanager
async def impatient(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Http]:
    """A front that soon gives up on an instance, and then leaves it alone for the whole test."""
    monkeypatch.setattr("lab.proof.fleet.front.SUSPECT_S", 3600)
    async with Front(fleet, instance_s=2.0) as front, Http(base_url=front.url, timeout=WAIT_S) as http:
        yield http


async def test_of_as_many_requests_as_instances_the_frozen_ones_is_503_with_a_retry_after(
    fleet: Fleet, four: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.freeze(four[2])
    async with impatient(fleet, monkeypatch) as http:
        answers = await asyncio.gather(*(http.get("/api/who") for _ in four))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert [(answer.status_code, int(answer.headers["retry-after"]) >= 1) for answer in refused] == [(503, True)]


async def test_an_instance_that_did_not_answer_is_left_alone(
    fleet: Fleet, four: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.freeze(four[2])
    async with impatient(fleet, monkeypatch) as http:
        await asyncio.gather(*(http.get("/api/who") for _ in four))
        assert {await who(http) for _ in range(8)} == pids(four) - {four[2].pid}


async def test_where_all_are_suspect_they_are_tried_all_the_same(four: list[Instance], http: Http) -> None:
    for instance in four:
        instance.suspect_until = float("inf")
    assert await who(http) in pids(four)


async def test_past_the_most_that_may_wait_the_next_request_is_503(
    four: list[Instance], http: Http, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.proof.fleet.front.MOST_WAITING", 1)
    held = asyncio.create_task(http.get("/api/held"))
    await begun(redis)
    assert (await http.get("/api/who")).status_code == 503
    await redis.rpush("release", 1)
    assert (await finished(held)).status_code == 200


async def test_a_draining_instance_finishes_what_it_has_and_gets_nothing_new(
    fleet: Fleet, four: list[Instance], http: Http, redis: Any
) -> None:
    held = asyncio.create_task(http.get("/api/held"))
    busy = await begun(redis)
    leaving = next(one for one in four if one.pid == busy)
    draining = asyncio.create_task(fleet.drain([leaving]))
    assert {await who(http) for _ in range(8)} == pids(four) - {leaving.pid}
    await redis.rpush("release", 1)
    await finished(draining)
    answer = await finished(held)
    assert (answer.status_code, answer.text, leaving.gone.is_set()) == (200, str(leaving.pid), True)


async def test_while_instances_drain_no_request_is_lost(fleet: Fleet, four: list[Instance], http: Http) -> None:
    async def keep_asking() -> list[int]:
        statuses = []
        while not drained.is_set():
            statuses.append((await http.get("/api/who")).status_code)
        return statuses

    drained = asyncio.Event()
    asking = [asyncio.create_task(keep_asking()) for _ in range(4)]
    await fleet.drain(four[:2])
    await fleet.drain(four[2:3])
    drained.set()
    assert {status for statuses in await asyncio.gather(*asking) for status in statuses} == {200}
