"""One trial: one fault against one side, on a server and a proxy of its own, under load before, during and after."""

from __future__ import annotations

import asyncio

from lab.azure.redis_server import HOST, RedisServer
from lab.azure.tcp_proxy import TcpProxy
from lab.proof.faults.redis import FaultDidNotHappen, Target
from lab.proof.faults.session.faults import Fault
from lab.proof.faults.session.load import CHARGED, DECIDED, VALUE, VALUE_KEY, Load
from lab.proof.faults.session.outcome import Outcome, of_calls
from lab.proof.faults.session.pace import Pace
from lab.proof.faults.session.scene import USER, Scene, new_password
from lab.proof.sentinel import Sentinel
from lab.proof.strategies import OURS, SIDES, Session, preload
from lab.proof.tasks import until
from services.redis_session import RedisService

SETTLE_S = 2.0  # for connections that are about to go


async def endure(fault: Fault, side: str, pace: Pace) -> Outcome:
    """Run it; that the fault had no effect is noted. Raises RedisServerError if no server starts."""
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    password = new_password()
    options = {"user": f"{USER} on >{password} ~* &* +@all", **fault.options}  # a line of redis.conf
    try:
        with RedisServer(options=options) as server, Sentinel() as sentinel:
            async with TcpProxy(server.port) as proxy:
                target = Target(server, proxy)
                preload(side)
                await target.ask("SET", VALUE_KEY, VALUE)
                url = f"redis://{USER}:{password}@{HOST}:{proxy.port}/0"
                session = RedisService(url, clocks=pace.clocks) if side == OURS else SIDES[side](url)
                scene = Scene(target, session, Load(session, pace), pace, password)
                try:
                    outcome = await _observed(scene, fault, side)
                finally:
                    await _close(session)
    finally:
        loop.set_exception_handler(before)
    outcome.machine_late_s = round(sentinel.late_s, 2)
    outcome.complaints = len(complaints)
    return outcome


async def _observed(scene: Scene, fault: Fault, side: str) -> Outcome:
    loop, load, pace = asyncio.get_running_loop(), scene.load, scene.pace
    load.start()
    try:
        await asyncio.sleep(pace.before_s)
        try:
            await fault.inflict(scene)
        except FaultDidNotHappen as error:  # of one side, the whole run need not end
            scene.notes.append(f"this proves nothing: {error}")
        since = loop.time()
        await until(lambda: load.calm(since), pace.observe_s)
    finally:
        hung = await load.stop()
    outcome = of_calls(fault.name, side, load.calls, hung, loop.time())
    recovered = load.recovered_at(since)
    outcome.recovery_s = None if recovered is None else round(recovered - since, 2)
    outcome.opened = scene.target.proxy.accepted
    outcome.leaked = max(0, await scene.target.settled_clients(1, SETTLE_S) - 1)
    outcome.notes = scene.notes
    await _compare(outcome, scene)
    return outcome


async def _compare(outcome: Outcome, scene: Scene) -> None:
    """The server's own account against the answers."""
    async with scene.target.admin() as client:
        charged, decided = await client.hgetall(CHARGED), await client.hkeys(DECIDED)
    known = {"charge": set(map(int, charged)), "decide": set(map(int, decided))}
    outcome.done_twice = sum(int(runs) > 1 for runs in charged.values())
    outcome.lost = sum(
        call.good and call.kind in known and call.number not in known[call.kind] for call in scene.load.calls
    )


async def _close(session: Session) -> None:
    try:
        async with asyncio.timeout(5):
            await session.aclose()
    except Exception as error:  # noqa: BLE001 - a session that cannot even be closed has been judged by then
        print(f"closing the session: {type(error).__name__}")
