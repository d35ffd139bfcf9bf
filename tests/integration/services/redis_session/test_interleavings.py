"""Callers, values, deadlines and faults at random: every call ends once, with its own reply or a true error."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import DataError, ResponseError

from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import NotSent, OutcomeUnknown
from services.redis_session.call_deadline import CallDeadline
from services.redis_session.multiplexed_redis import MultiplexedRedis


@dataclass(frozen=True)
class Step:
    """One call: what it does, how large it is (bytes), and how its caller behaves."""

    kind: str
    size: int
    deadline_s: float | None
    cancel_after_turns: int | None
    turns_before: int


STEPS = st.lists(
    st.builds(
        Step,
        kind=st.sampled_from(["echo", "set", "get", "error", "unpackable", "pipeline"]),
        size=st.sampled_from([0, 10, 10, 1000, 70_000, 700_000]),
        deadline_s=st.sampled_from([None, None, None, 0.0, 0.002, 0.02]),
        cancel_after_turns=st.sampled_from([None, None, None, 0, 1, 3, 10]),
        turns_before=st.sampled_from([0, 0, 0, 1, 2]),
    ),
    min_size=1,
    max_size=40,
)
FAULTS = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(["reset_all", "half_close_all"]), st.integers(0, 40)),
    st.tuples(st.just("cut"), st.integers(0, 300_000)),
    st.tuples(st.just("slow"), st.sampled_from([20_000_000, 100_000_000])),
)


async def call(client: Any, number: int, step: Step) -> str:
    """Make the call and check what comes back; its outcome as a word."""
    own = f"{number}:".encode() + b"x" * step.size
    if step.kind == "echo":
        assert await client.echo(own) == own
    elif step.kind == "set":
        assert await client.set(f"key{number}", own) is True
    elif step.kind == "get":
        assert await client.get("constant") == b"constant"
    elif step.kind == "error":
        assert isinstance(await failure(client.execute_command("NOSUCH", own)), ResponseError)
    elif step.kind == "unpackable":
        assert isinstance(await failure(client.set("never", [own])), DataError)
    else:
        pipe = client.pipeline(transaction=False)
        pipe.echo(own).lpush("constant", own).set(f"key{number}", own)
        echoed, refused, done = await pipe.execute(raise_on_error=False)
        assert echoed == own
        assert isinstance(refused, ResponseError)
        assert done is True
    return "answered"


async def failure(call: Awaitable[Any]) -> Exception:
    """The error reply of a call; what is no error reply passes."""
    try:
        raise AssertionError(f"no error but {await call}")
    except (ResponseError, DataError) as error:
        return error


async def outcome(client: MultiplexedRedis, number: int, step: Step) -> str:
    """How the call ended, as its caller sees it."""
    try:
        if step.deadline_s is None:
            return await call(client, number, step)
        async with CallDeadline(step.deadline_s):
            return await call(client, number, step)
    except NotSent:
        return "not sent"
    except OutcomeUnknown:
        return "unknown"


async def play(url: str, port: int, steps: list[Step], fault: tuple[str, int] | None) -> list[str]:
    """Play the steps through a proxy with one fault; how each call ended."""
    async with TcpProxy(port) as proxy:
        client = MultiplexedRedis.from_url(proxy.url, stall_s=5)
        await client.connect()
        await client.set("constant", "constant")
        if fault and fault[0] == "cut":
            proxy.to_client.cut_after = fault[1]
        if fault and fault[0] == "slow":
            proxy.to_server.bytes_per_s = proxy.to_client.bytes_per_s = fault[1]
        calls: list[asyncio.Task[str]] = []
        cancels: list[asyncio.Task[None]] = []
        for number, step in enumerate(steps):
            for _ in range(step.turns_before):
                await asyncio.sleep(0)
            if fault and fault[0].endswith("_all") and number == fault[1]:
                getattr(proxy, fault[0])()
            calls.append(asyncio.create_task(outcome(client, number, step)))
            if step.cancel_after_turns is not None:
                cancels.append(asyncio.create_task(cancel(calls[-1], step.cancel_after_turns)))
        async with asyncio.timeout(30):  # a call that never ends fails here
            await asyncio.wait([*calls, *cancels])
        if client.connected and (fault is None or fault[0] == "slow"):
            async with asyncio.timeout(30):
                assert await client.echo("still in order") == b"still in order"
            assert (client.backlog_calls, client.backlog_bytes) == (0, 0)
        await client.aclose()
        return ["cancelled" if call.cancelled() else call.result() for call in calls]


async def cancel(task: asyncio.Task[str], turns: int) -> None:
    """Cancel a caller after some turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()


@given(steps=STEPS, fault=FAULTS)
def test_every_call_ends_once_with_its_own_reply_or_a_true_error(
    redis_url: str, steps: list[Step], fault: tuple[str, int] | None
) -> None:
    with redis.Redis.from_url(redis_url) as plain:
        plain.flushall()
        ended = asyncio.run(play(redis_url, int(redis_url.rsplit(":", 1)[1].split("/")[0]), steps, fault))
        patient = [step.deadline_s is None and step.cancel_after_turns is None for step in steps]
        if fault is None or fault[0] == "slow":
            assert all(how == "answered" for how, waits in zip(ended, patient, strict=True) if waits)
        for number, (step, how) in enumerate(zip(steps, ended, strict=True)):
            stored = plain.exists(f"key{number}")
            assert stored or how != "answered" or step.kind not in ("set", "pipeline")
            assert not stored or how != "not sent"
