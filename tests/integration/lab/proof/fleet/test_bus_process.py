"""The Service Bus in a process of its own: what it can be asked, and what is said when it is gone."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from lab.azure.service_bus.queue_config import QueueConfig
from lab.proof.fleet.bus_process import BusError, BusProcess
from tests.integration.lab.proof.fleet.conftest import all_gone
from tests.integration.lab.proof.fleet.sending import complete_one, send


async def test_it_is_a_process_of_its_own(bus: BusProcess) -> None:
    assert os.getsid(bus.pid) == bus.pid != os.getpid()


async def test_it_tells_what_is_on_a_queue(bus: BusProcess) -> None:
    await send(bus, "a", "b", "c")
    assert (await bus.ask("stats", "orders"))["active"] == 3


async def test_an_attribute_is_answered_with_its_value(bus: BusProcess) -> None:
    assert await bus.ask("queues") == ["orders"]


async def test_it_fails_on_purpose_when_asked_to(bus: BusProcess) -> None:
    await bus.ask("faults.store_twice", 1)
    await send(bus, "a")
    assert (await bus.ask("stats", "orders"))["active"] == 2


async def test_once_asked_to_it_remembers_which_messages_were_completed(bus: BusProcess) -> None:
    await bus.ask("remember_completed")
    sent = await send(bus, "a", "b")
    completed = await complete_one(bus)
    assert await bus.ask("completed") == {completed} < set(sent)


async def test_by_default_it_remembers_none(bus: BusProcess) -> None:
    await send(bus, "a")
    await complete_one(bus)
    assert await bus.ask("completed") == set()


@pytest.mark.parametrize(
    ("question", "reason"), [(("stats", "no-such-queue"), "KeyError"), (("no_such_name",), "AttributeError")]
)
async def test_a_question_it_cannot_answer_is_an_error_that_says_why(
    bus: BusProcess, question: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(BusError, match=reason):
        await bus.ask(*question)


async def test_after_a_question_it_could_not_answer_it_answers_the_next(bus: BusProcess) -> None:
    with pytest.raises(BusError):
        await bus.ask("no_such_name")
    assert await bus.ask("queues") == ["orders"]


async def test_questions_at_the_same_time_get_their_own_answers(bus: BusProcess) -> None:
    answers = await asyncio.gather(*(bus.ask(name) for name in ("queues", "connections") * 10))
    assert answers == [["orders"], 0] * 10


async def test_its_end_is_reported(bus: BusProcess) -> None:
    os.kill(bus.pid, signal.SIGKILL)
    with pytest.raises(BusError, match="the Service Bus is gone"):
        await bus.ask("queues")


async def test_no_answer_is_reported(bus: BusProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.proof.fleet.bus_process.ANSWER_S", 0.2)
    os.kill(bus.pid, signal.SIGSTOP)
    try:
        with pytest.raises(BusError, match=r"did not answer within 0\.2 s"):
            await bus.ask("queues")
    finally:
        os.kill(bus.pid, signal.SIGCONT)


async def test_it_ends_with_its_block() -> None:
    async with BusProcess({"orders": QueueConfig()}) as bus:
        pid = bus.pid
    await all_gone([pid])
