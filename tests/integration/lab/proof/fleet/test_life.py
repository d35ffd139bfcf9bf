"""The life of a fleet's instances: how they start, what they run, why one did not start, and that none is left."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from lab.proof.fleet.bus_process import BusProcess
from lab.proof.fleet.fleet import Fleet, FleetError, State
from lab.proof.fleet.instance import Group, Task
from lab.proof.fleet.scaling import adjust
from tests.integration.lab.proof.fleet.conftest import WAIT_S, all_gone, begun, finished
from tests.integration.lab.proof.fleet.preparations import refuse, vanish
from tests.integration.lab.proof.fleet.sending import send
from tests.waiting import until

Make = Callable[..., Task]


async def get(url: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=WAIT_S) as client:
        return await client.get(url + path)


async def test_an_instance_is_forked_with_everything_imported_but_the_apps_own_instances(fleet: Fleet) -> None:
    (instance,) = await fleet.grow(Group.HTTP, 1)
    modules = set((await get(instance.base_url, "/api/modules")).json())
    assert {"lab.proof.fleet.warm", "services.tickets.store", "azure.servicebus.aio"} <= modules
    assert "services.app_services" not in modules


async def test_every_instance_is_a_process_of_its_own_that_a_ctrl_c_at_the_terminal_does_not_reach(
    fleet: Fleet,
) -> None:
    instances = await fleet.grow(Group.HTTP, 2)
    sessions = [os.getsid(instance.pid) for instance in instances]
    assert sessions == [instance.pid for instance in instances]
    assert os.getsid(0) not in sessions


async def test_every_instance_serves_on_a_port_of_its_own(fleet: Fleet) -> None:
    instances = await fleet.grow(Group.HTTP, 2)
    answers = [int((await get(instance.base_url, "/api/who")).text) for instance in instances]
    assert answers == [instance.pid for instance in instances]


async def test_an_instance_of_the_fulfilment_group_has_no_http_function(make_task: Make, bus: BusProcess) -> None:
    async with Fleet(make_task(connection=bus.connection_string)) as fleet:
        (instance,) = await fleet.grow(Group.FULFILMENT, 1)
        assert (await get(instance.base_url, "/api/who")).status_code == 404


async def test_messages_are_taken_by_the_fulfilment_group_only(make_task: Make, bus: BusProcess, redis: Any) -> None:
    async with Fleet(make_task(connection=bus.connection_string)) as fleet:
        await fleet.grow(Group.HTTP, 1)
        (worker,) = await fleet.grow(Group.FULFILMENT, 1)
        await send(bus, *["work"] * 20)
        takers = Counter([(await redis.blpop("taken", timeout=WAIT_S))[1] for _ in range(20)])
    assert takers == {str(worker.pid): 20}


async def test_a_draining_instance_finishes_and_completes_the_message_it_works_on(
    make_task: Make, bus: BusProcess, redis: Any
) -> None:
    async with Fleet(make_task(connection=bus.connection_string)) as fleet:
        (worker,) = await fleet.grow(Group.FULFILMENT, 1)
        await send(bus, "hold")
        assert await begun(redis) == worker.pid
        draining = asyncio.create_task(fleet.drain([worker]))
        await until(lambda: not listens(worker.port), WAIT_S)
        assert worker.state is State.DRAINING
        await redis.rpush("release", 1)
        await finished(draining)
        stats = await bus.ask("stats", "orders")
    assert (stats["completed"], stats["active"]) == (1, 0)


async def test_a_fleet_is_brought_to_the_size_that_is_wanted(fleet: Fleet) -> None:
    await adjust(fleet, {Group.HTTP: 3, Group.FULFILMENT: 1})
    grown = [len(fleet.of(group)) for group in Group]
    await adjust(fleet, {Group.HTTP: 1, Group.FULFILMENT: 2})
    assert (grown, [len(fleet.of(group)) for group in Group]) == ([3, 1], [1, 2])


async def test_a_fleet_grows_and_shrinks_by_a_step_at_a_time(fleet: Fleet) -> None:
    sizes = []
    for wanted in (3, 3, 0, 0):
        await adjust(fleet, {Group.HTTP: wanted}, step=2)
        sizes.append(len(fleet.of(Group.HTTP)))
    assert sizes == [2, 3, 1, 0]


async def test_killed_instances_are_started_again(fleet: Fleet) -> None:
    first, second = await fleet.grow(Group.HTTP, 2)
    fleet.kill(first)
    await fleet.wait_gone([first])
    await adjust(fleet, {Group.HTTP: 2})
    assert second in fleet.of(Group.HTTP)
    assert len(fleet.of(Group.HTTP)) == 2


async def test_the_frozen_count_as_alive_and_the_killed_do_not(fleet: Fleet) -> None:
    frozen, killed = await fleet.grow(Group.HTTP, 2)
    fleet.freeze(frozen)
    fleet.kill(killed)
    await fleet.wait_gone([killed])
    assert (fleet.alive, frozen.frozen, killed.state) == ([frozen], True, State.GONE)


async def test_a_signal_to_an_instance_that_is_gone_has_no_effect(fleet: Fleet) -> None:
    (instance,) = await fleet.grow(Group.HTTP, 1)
    fleet.kill(instance)
    await fleet.wait_gone([instance])
    fleet.kill(instance)
    assert instance.state is State.GONE


@pytest.mark.parametrize("count", [1, 4])
async def test_an_instance_that_cannot_start_says_why(make_task: Make, count: int) -> None:
    async with Fleet(make_task(refuse)) as fleet:
        with pytest.raises(FleetError, match="group http did not start: ValueError: the cupboard is bare"):
            await fleet.grow(Group.HTTP, count)


async def test_an_app_that_cannot_be_imported_is_reported_with_its_error(make_task: Make) -> None:
    task = make_task()
    (task.folder / "function_app.py").write_text("import no_such_module")
    async with Fleet(task) as fleet:
        with pytest.raises(FleetError, match="No module named 'no_such_module'"):
            await fleet.grow(Group.HTTP, 1)


async def test_the_log_of_an_instance_that_ends_silently_is_named(make_task: Make) -> None:
    task = make_task(vanish)
    async with Fleet(task) as fleet:
        with pytest.raises(FleetError, match=f"it said nothing .*see {task.log}"):
            await fleet.grow(Group.HTTP, 1)


async def test_after_an_instance_did_not_start_nothing_is_left(make_task: Make) -> None:
    async with Fleet(make_task(refuse)) as fleet:
        with pytest.raises(FleetError):
            await fleet.grow(Group.HTTP, 3)
    await all_gone([instance.pid for instance in fleet.instances])


async def test_no_instance_survives_the_block_not_even_a_frozen_one(make_task: Make) -> None:
    async with Fleet(make_task()) as fleet:
        instances = await fleet.grow(Group.HTTP, 3)
        fleet.freeze(instances[0])
        fleet.kill(instances[1])
    await all_gone([instance.pid for instance in instances])
    assert fleet.alive == []


async def test_no_instance_survives_an_error_in_the_block(make_task: Make) -> None:
    fleet = Fleet(make_task())

    async def fail() -> None:
        async with fleet:
            await fleet.grow(Group.HTTP, 2)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    await all_gone([instance.pid for instance in fleet.instances])


def listens(port: int) -> bool:
    """Whether anybody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
