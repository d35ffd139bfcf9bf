"""What is done to a session, one function per fault: it returns when the fault is over, with the time recovery counts
from (seconds, the event loop's clock), and raises FaultDidNotHappen if it had no effect.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from lab.azure.redis_server import HOST, free_port
from lab.azure.tcp_proxy import Faults
from lab.proof.session_faults.pace import Pace
from lab.proof.session_faults.scene import USER, FaultDidNotHappen, Scene, admin, new_password, until
from services.errors import AppError

LOAD_DELAY_US = 1000  # per key while the server loads
BULK_KEY = "{faults}:bulk"


@dataclass(frozen=True)
class Fault:
    """`bound_s`: the longest time to recovery. `opened`: the most connections it may cost. `spares`: no call may fail.

    These three are promises of our session only. `options`: of the server.
    """

    name: str
    title: str
    inflict: Callable[[Scene], Awaitable[float]]
    bound_s: Callable[[Pace], float]
    opened: Callable[[Pace], int] | None = None
    spares: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def kill(scene: Scene) -> float:
    """A crash, and the server is back after a while."""
    scene.server.kill()
    await asyncio.sleep(scene.pace.down_s)
    await asyncio.to_thread(scene.server.start)
    return _now()


async def _pause(scene: Scene, seconds: float) -> float:
    scene.server.pause()
    await asyncio.sleep(seconds)
    scene.server.resume()
    return _now()


async def pause(scene: Scene) -> float:
    """The server holds its breath, for less than `stall_s`."""
    return await _pause(scene, scene.pace.pause_s)


async def long_pause(scene: Scene) -> float:
    """The server stops answering; its kernel goes on accepting."""
    return await _pause(scene, scene.pace.long_pause_s)


async def client_kill(scene: Scene) -> float:
    """CLIENT KILL of every connection, again and again, under load."""
    for _ in range(scene.pace.kills):
        await scene.kill_clients()
        await asyncio.sleep(0.2)
    return _now()


async def black_hole(scene: Scene) -> float:
    """Nothing passes and nobody is told; what was held back passes afterwards, as TCP's retransmissions do."""
    scene.proxy.black_hole()
    await asyncio.sleep(scene.pace.black_hole_s)
    scene.proxy.heal()
    return _now()


async def idle_close(scene: Scene) -> float:
    """The server closes a connection that was idle, and then everybody wants it."""
    await scene.load.idle()
    await scene.ask("CONFIG", "SET", "timeout", "1")
    if await scene.settled_clients(0, deadline_s=10):
        raise FaultDidNotHappen("the server closed no idle connection")
    await scene.ask("CONFIG", "SET", "timeout", "0")
    scene.load.resume()
    return _now()


async def full_server(scene: Scene) -> float:
    """All connections are gone and no new one is let in."""
    async with admin(scene.server) as client:
        await client.config_set("maxclients", 1)
        await client.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(scene.pace.outage_s)
        if not (await client.info("stats"))["rejected_connections"]:
            raise FaultDidNotHappen("the server refused no connection")
        await client.config_set("maxclients", 1000)
    return _now()


async def read_only(scene: Scene) -> float:
    """The server turns into a replica, and back: PING and reads go on, writes are refused."""
    await scene.ask("REPLICAOF", HOST, str(free_port()))
    await asyncio.sleep(scene.pace.outage_s)
    await scene.ask("REPLICAOF", "NO", "ONE")
    return _now()


async def loading(scene: Scene) -> float:
    """A restart with so much data that the server answers LOADING for a while."""
    async with admin(scene.server) as client:
        async with client.pipeline(transaction=False) as keys:
            for number in range(int(scene.pace.loading_s * 1e6 / LOAD_DELAY_US)):
                keys.set(f"filler:{number}", number)
            await keys.execute()
        await client.bgrewriteaof()  # as one snapshot: only that is loaded in small steps with LOADING in between
        while (await client.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)
    scene.server.kill()
    starting = asyncio.create_task(asyncio.to_thread(scene.server.start))
    heard = 0
    while not starting.done():
        heard += await _says_loading(scene.server.port)
        await asyncio.sleep(0.05)
    await starting
    if not heard:
        raise FaultDidNotHappen("the server never answered LOADING")
    return _now()


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


async def trickle(scene: Scene) -> float:
    """The connections there are deliver a byte now and then, for ever; new ones are sound. Counts from the start."""
    sick, scene.proxy.to_client = scene.proxy.to_client, Faults()
    sick.bytes_per_s = 1 / scene.pace.drip_s
    return _now()


async def bulk(scene: Scene) -> float:
    """A large SET over a slow link, small commands behind it: it must get through, on the connection it began on."""
    scene.proxy.to_server.bytes_per_s = scene.pace.bulk_bytes_per_s
    value = bytes(scene.pace.bulk_bytes)
    patience_s = 3 * scene.pace.bulk_bytes / scene.pace.bulk_bytes_per_s
    try:
        await scene.session.run(lambda client: client.set(BULK_KEY, value), idempotent=False, within_s=patience_s)
    except AppError as error:
        scene.notes.append(f"the large SET failed: {error}")
    scene.proxy.heal()
    return _now()


async def script_flush(scene: Scene) -> float:
    """The server forgets its scripts."""
    for _ in range(3):
        await scene.ask("SCRIPT", "FLUSH")
        await asyncio.sleep(0.2)
    return _now()


async def password_change(scene: Scene) -> float:
    """The password is changed and the connections are closed; later the old one is valid again."""
    await scene.ask("ACL", "SETUSER", USER, "resetpass", f">{new_password()}")
    await scene.kill_clients()
    await asyncio.sleep(scene.pace.outage_s)
    await scene.ask("ACL", "SETUSER", USER, f">{scene.password}")
    return _now()


async def cut_reply(scene: Scene) -> float:
    """Connections are reset in the middle of a reply, at any byte."""
    where = random.Random(1)  # noqa: S311 - only where to cut
    for _ in range(scene.pace.cuts):
        accepted = scene.proxy.accepted
        doomed, scene.proxy.to_client = scene.proxy.to_client, Faults()
        doomed.cut_after = where.randrange(1, 6000)
        await until(lambda before=accepted: scene.proxy.accepted > before, 10, "no connection was cut")  # type: ignore[misc] # a default binds it now
        await asyncio.sleep(0.1)
    return _now()


def _soon(_pace: Pace) -> float:
    return 3.0


def _after_connect(pace: Pace) -> float:
    return pace.clocks.connect_s + 2


def _after_trickle(pace: Pace) -> float:
    return pace.clocks.reply_s + pace.clocks.connect_s + 2


_SLOW_LOAD = {"key-load-delay": str(LOAD_DELAY_US), "loading-process-events-interval-bytes": "1024"}

FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill", "SIGKILL, restart", kill, _soon),
        Fault("pause", "SIGSTOP, short", pause, _after_connect, opened=lambda _: 1),
        Fault("long-pause", "SIGSTOP, long", long_pause, _after_connect),
        Fault("client-kill", "CLIENT KILL under load", client_kill, _soon, opened=lambda pace: pace.kills + 1),
        Fault("black-hole", "black hole", black_hole, _after_connect),
        Fault("idle-close", "idle close (timeout 1)", idle_close, _soon, opened=lambda _: 2, spares=True),
        Fault("full-server", "full server (maxclients)", full_server, _soon),
        Fault("read-only", "READONLY (REPLICAOF)", read_only, _soon),
        Fault("loading", "LOADING", loading, _soon, options=_SLOW_LOAD),
        Fault("trickle", "a byte now and then", trickle, _after_trickle, opened=lambda _: 2),
        Fault("bulk", "large SET, slow link", bulk, _soon, opened=lambda _: 1),
        Fault("script-flush", "SCRIPT FLUSH", script_flush, _soon, opened=lambda _: 1, spares=True),
        Fault("password-change", "ACL password change", password_change, _soon),
        Fault("cut-reply", "cut in the middle of a reply", cut_reply, _soon, opened=lambda pace: pace.cuts + 1),
    )
}
