"""What is done to a session, one function per fault: it returns when the fault is over.

Raises FaultDidNotHappen if it had no effect.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from lab.azure.redis_server import HOST
from lab.azure.tcp_proxy import Faults
from lab.proof.faults import redis
from lab.proof.faults.redis import FaultDidNotHappen, after_connect, soon
from lab.proof.faults.session.pace import Pace
from lab.proof.faults.session.scene import USER, Scene, new_password
from lab.proof.tasks import until
from services.redis_session import RedisUnavailable

AGAIN_S = 0.2  # between the repetitions of a short fault
LOAD_DELAY_US = 1000  # per key while the server loads
BULK_KEY = "{faults}:bulk"


@dataclass(frozen=True)
class Fault:
    """`bound_s`: the longest time to recovery. `opened`: the most connections it may cost. `spares`: no call may fail.

    These three are promises of our session only. `options`: of the server.
    """

    name: str
    title: str
    inflict: Callable[[Scene], Awaitable[None]]
    bound_s: Callable[[Pace], float]
    opened: Callable[[Pace], int] | None = None
    spares: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


async def idle_close(scene: Scene) -> None:
    """The server closes a connection that was idle, and then everybody wants it."""
    await scene.load.idle()
    await scene.target.ask("CONFIG", "SET", "timeout", "1")
    left = await scene.target.settled_clients(0, within_s=10)
    await scene.target.ask("CONFIG", "SET", "timeout", "0")
    scene.load.resume()
    if left:
        raise FaultDidNotHappen("the server closed no idle connection")


async def loading(scene: Scene) -> None:
    """A restart with so much data that the server answers LOADING for a while."""
    server = scene.target.server
    async with scene.target.admin() as client:
        async with client.pipeline(transaction=False) as keys:
            for number in range(int(scene.pace.loading_s * 1e6 / LOAD_DELAY_US)):
                keys.set(f"filler:{number}", number)
            await keys.execute()
        await client.bgrewriteaof()  # as one snapshot: only that is loaded in small steps with LOADING in between
        while (await client.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)
    server.kill()
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    heard = 0
    while not starting.done():
        heard += await _says_loading(server.port)
        await asyncio.sleep(0.05)
    await starting
    if not heard:
        raise FaultDidNotHappen("the server never answered LOADING")


async def _says_loading(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith(b"-LOADING")
    except OSError:
        return False
    finally:
        writer.close()


async def trickle(scene: Scene) -> None:
    """The connections there are deliver a byte now and then, for ever; new ones are sound. Over as soon as it began."""
    sick, scene.target.proxy.to_client = scene.target.proxy.to_client, Faults()
    sick.bytes_per_s = 1 / scene.pace.drip_s


async def bulk(scene: Scene) -> None:
    """A large SET over a slow link, small commands behind it: it must get through, on the connection it began on."""
    scene.target.proxy.to_server.bytes_per_s = scene.pace.bulk_bytes_per_s
    value = bytes(scene.pace.bulk_bytes)
    patience_s = 3 * scene.pace.bulk_bytes / scene.pace.bulk_bytes_per_s
    try:
        await scene.session.run(lambda client: client.set(BULK_KEY, value), idempotent=False, within_s=patience_s)
    except RedisUnavailable as error:
        scene.notes.append(f"the large SET failed: {error}")
    scene.target.proxy.heal()


async def password_change(scene: Scene) -> None:
    """The password is changed and the connections are closed; later the old one is valid again."""
    await scene.target.ask("ACL", "SETUSER", USER, "resetpass", f">{new_password()}")
    await scene.target.kill_clients()
    await asyncio.sleep(scene.pace.outage_s)
    await scene.target.ask("ACL", "SETUSER", USER, f">{scene.password}")


async def cut_reply(scene: Scene) -> None:
    """Connections are reset in the middle of a reply, at any byte."""
    where = random.Random(1)  # noqa: S311 - only where to cut
    proxy = scene.target.proxy
    for _ in range(scene.pace.cuts):
        doomed, proxy.to_client = proxy.to_client, Faults()
        doomed.cut_after = where.randrange(1, 6000)
        if not await until(lambda before=proxy.accepted: proxy.accepted > before, 10):  # type: ignore[misc]
            raise FaultDidNotHappen("no connection was cut")
        await asyncio.sleep(0.1)


_SLOW_LOAD = {"key-load-delay": str(LOAD_DELAY_US), "loading-process-events-interval-bytes": "1024"}

FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill", "SIGKILL, restart", lambda s: redis.kill(s.target, s.pace.down_s), soon),
        Fault(
            "pause",
            "SIGSTOP, short",
            lambda s: redis.pause(s.target, s.pace.pause_s),
            after_connect,
            opened=lambda _: 1,
        ),
        Fault("long-pause", "SIGSTOP, long", lambda s: redis.pause(s.target, s.pace.long_pause_s), after_connect),
        Fault(
            "client-kill",
            "CLIENT KILL under load",
            lambda s: redis.client_kill(s.target, s.pace.kills, AGAIN_S),
            soon,
            opened=lambda pace: pace.kills + 1,
        ),
        Fault("black-hole", "black hole", lambda s: redis.black_hole(s.target, s.pace.black_hole_s), after_connect),
        Fault("idle-close", "idle close (timeout 1)", idle_close, soon, opened=lambda _: 2, spares=True),
        Fault("full-server", "full server (maxclients)", lambda s: redis.full_server(s.target, s.pace.outage_s), soon),
        Fault("read-only", "READONLY (REPLICAOF)", lambda s: redis.read_only(s.target, s.pace.outage_s), soon),
        Fault("loading", "LOADING", loading, soon, options=_SLOW_LOAD),
        Fault(
            "trickle",
            "a byte now and then",
            trickle,
            lambda pace: pace.clocks.reply_s + after_connect(pace),
            opened=lambda _: 2,
        ),
        Fault("bulk", "large SET, slow link", bulk, soon, opened=lambda _: 1),
        Fault(
            "script-flush",
            "SCRIPT FLUSH",
            lambda s: redis.script_flush(s.target, 3, AGAIN_S),
            soon,
            opened=lambda _: 1,
            spares=True,
        ),
        Fault("password-change", "ACL password change", password_change, soon),
        Fault("cut-reply", "cut in the middle of a reply", cut_reply, soon, opened=lambda pace: pace.cuts + 1),
    )
}
