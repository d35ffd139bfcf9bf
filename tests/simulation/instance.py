"""One instance of the app: its real composition on a loop of its own, and every call on it watched until it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import patch

from pydantic import SecretStr

from services.app_services import AppServices, build
from services.errors import UNAVAILABLE, Undecidable
from services.redis_session import Credential
from services.settings import Settings, load_settings
from services.tickets.models import OrderMessage
from tests.simulation.bus import Bus, SimSender, Trigger
from tests.simulation.loop import SimLoop, World
from tests.simulation.network import Network
from tests.simulation.plan import Plan
from tests.simulation.redis_model import EPOCH_S

LATE_S = 0.25  # how much later than its deadline a call may end on a machine that turns
PASSWORD = "made-up"


class Identity:
    """Entra ID. `state`: "", "down" or "hole"; a token lasts `life_s` seconds, and is repeated for the half of it."""

    def __init__(self, world: World, life_s: float) -> None:
        self.world, self.life_s, self.state, self._until = world, life_s, "", 0.0

    async def fetch(self) -> Credential:
        """A token: the password and when it runs out."""
        await asyncio.sleep(self.world.random.uniform(0.005, 0.5))
        while self.state == "hole":  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(1)
        if self.state == "down":
            raise OSError("nobody says who we are")
        now = self.world.now
        if self._until < now + self.life_s / 2:
            self._until = now + self.life_s
        return Credential("app", f"{PASSWORD}@{self._until!r}", EPOCH_S + self._until)

    def revoke(self) -> float:
        """From now on there is another token; until when the one before would have lasted."""
        revoked, self._until = self._until, 0.0
        return revoked


def settings_of(plan: Plan) -> Settings:
    """The app's settings in this world."""
    settings = load_settings(
        {
            "REDIS_URL": f"redis://:{PASSWORD}@redis.test:6379/0",
            "REDIS_CONNECTIONS_PER_WORKER": str(plan.connections),
            "REDIS_IDLE_CHECK_S": str(plan.idle_check_s),
            "ServiceBusConnection": "Endpoint=sb://bus.test;SharedAccessKeyName=a;SharedAccessKey=a",
            "ORDERS_QUEUE": "orders",
            "PATIENCE_S": str(plan.patience_s),
            "HOLD_S": str(plan.hold_s),
        }
    )
    if plan.token_s:  # in this world without TLS, on which the settings insist
        address = {"redis_url": SecretStr("redis://redis.test:6379/0"), "redis_entra_client_id": "app"}
        settings = settings.model_copy(update=address)
    return settings


class Gone(Exception):
    """No answer: the instance died, or the caller had no more patience."""


class Instance:
    """Freezes, dies and starts again, each time as a new process."""

    def __init__(
        self, network: Network, bus: Bus, identity: Identity, settings: Settings, name: str, bound: int
    ) -> None:
        self.world, self.network, self.bus, self.identity = network.world, network, bus, identity
        self.settings, self.name, self.lives, self._bound = settings, name, 0, bound
        self.lived: list[tuple[SimLoop, AppServices]] = []
        self.frozen_s = self._frozen_at = 0.0
        self.closes = 0
        self._start()

    def start(self) -> None:
        """A new process if it is dead: nothing is left of the one before."""
        if self.loop.dead:
            self._start()

    def _start(self) -> None:
        self.lives += 1
        self.loop = SimLoop(self.world, f"{self.name}.{self.lives}")
        self.loop.connect = self.network.connect
        self.calls: dict[asyncio.Task[Any], str] = {}
        self.network.bound[self.loop.name] = self._bound
        jitter = random.Random(f"{self.world.random.random()}/{self.loop.name}")
        with patch("services.app_services.redis_credential_fetch", lambda _: self.identity.fetch):
            self.app: AppServices = build(self.settings, sender=SimSender(self.bus, self.loop), randomness=jitter)
        self.lived.append((self.loop, self.app))
        self.trigger = Trigger(self.bus, self.loop, self._fulfil)
        self.world.note(self.loop.name, "starts")

    def kill(self) -> None:
        """SIGKILL: the kernel closes its sockets, its locks run out."""
        if self.loop.dead:
            return
        self.world.note(self.loop.name, "is killed")
        self.loop.dead = True
        self.bus.triggers.remove(self.trigger)
        for link in list(self.network.links):
            if link.who == self.loop.name:
                link.send(None)

    def close(self) -> None:
        """Both sessions, while whoever uses them goes on."""
        self.closes += 1
        self.begin("close", lambda app: app.redis_service.aclose(), 5.0)
        self.begin("close", lambda app: app.queue_service.aclose(), 5.0)

    def restart(self) -> None:
        """A new process at once."""
        self.kill()
        self.start()

    def freeze(self, seconds: float) -> None:
        """Nothing of it turns for so long."""
        if self.loop.frozen or self.loop.dead:
            return
        self.world.note(self.loop.name, f"freezes for {seconds:.2f} s")
        self._frozen_at = self.world.now
        self.loop.frozen = True
        self.world.later(seconds, self._thaw, self.loop)

    def _thaw(self, loop: SimLoop) -> None:
        self.frozen_s += self.world.now - self._frozen_at
        self.world.note(loop.name, "thaws")
        loop.thaw()

    def begin(
        self,
        what: str,
        make: Callable[[AppServices], Coroutine[Any, Any, Any]],
        within_s: float,
        done: Callable[[Any], None] = lambda _: None,
    ) -> asyncio.Task[Any] | None:
        """Run one call; `done` gets its result or its error. It may take `within_s`, not counting while frozen."""
        if self.loop.dead:
            done(Gone())
            return None
        since, frozen_s = self.world.now, self.frozen_s
        who, calls, task = self.loop.name, self.calls, self.loop.create_task(make(self.app))

        def ended(task: asyncio.Task[Any]) -> None:
            del calls[task]
            if self.world.ended:
                return
            took = self.world.now - since
            if took - (self.frozen_s - frozen_s) > within_s + LATE_S:
                self.world.violate(f"{who}: {what} took {took:.3f} s, its bound is {within_s:g} s")
            outcome = asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()
            shown = type(outcome).__name__ if isinstance(outcome, BaseException) else "ok"
            self.world.note(who, f"{what}: {shown} after {took:.3f} s")
            done(outcome)

        calls[task] = what
        task.add_done_callback(ended)
        return task

    async def _fulfil(self, body: bytes) -> None:
        """What blueprints/fulfilment.py does, and whether it was patient enough."""
        began, frozen_s = self.world.now, self.frozen_s
        message = OrderMessage.model_validate_json(body)
        try:
            order = await self.app.order_desk.decide(message)
        except UNAVAILABLE as error:
            waited = self.world.now - began
            self.world.note(self.loop.name, f"order {message.order_id} not decided: {type(error).__name__}")
            if waited < self.settings.patience_s - 1.1:
                self.world.violate(f"a message was given up after {waited:.2f} s: {error!r}")
            raise
        except Undecidable as error:
            self.world.note(self.loop.name, f"order {message.order_id} undecidable")
            if not self.network.server.losses:
                self.world.violate(f"undecidable, and nothing was lost: {error}")
            raise
        except Exception as error:
            self.world.violate(f"a message that could have been decided raised {error!r}")
            raise
        if self.world.now - began - (self.frozen_s - frozen_s) > self.settings.patience_s + 1:
            self.world.violate("a decision took longer than its patience")
        self.world.note(self.loop.name, f"order {message.order_id} decided: {order.reason or order.status}")
