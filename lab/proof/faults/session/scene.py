"""The stage of one trial of a session: what its Redis is, who uses it, and what the lab itself asks."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from lab.azure.redis_server import HOST
from lab.azure.tcp_proxy import TcpProxy
from lab.proof.faults.redis import Target
from lab.proof.faults.session.load import CHARGED, DECIDED, VALUE, VALUE_KEY, Load
from lab.proof.faults.session.pace import Pace
from lab.proof.strategies import Session

USER = "app"


@dataclass
class Scene:
    """What a fault may touch. `notes`: what went wrong beside the load."""

    target: Target
    session: Session
    load: Load
    pace: Pace
    password: str
    notes: list[str] = field(default_factory=list)


def new_password() -> str:
    """One that no log has seen."""
    return secrets.token_hex(8)


def user_option(password: str) -> dict[str, str]:
    """The line of redis.conf that makes the user of the load."""
    return {"user": f"{USER} on >{password} ~* &* +@all"}


def url_of(proxy: TcpProxy, password: str) -> str:
    """Where the load connects."""
    return f"redis://{USER}:{password}@{HOST}:{proxy.port}/0"


async def prepare(target: Target) -> None:
    """Set the value that is read."""
    async with target.admin() as client:
        await client.set(VALUE_KEY, VALUE)


async def written(target: Target) -> tuple[dict[int, int], set[int]]:
    """What the server knows: how often each charge ran, and which decisions it holds."""
    async with target.admin() as client:
        charged = await client.hgetall(CHARGED)
        decided = await client.hkeys(DECIDED)
    return {int(number): int(runs) for number, runs in charged.items()}, {int(number) for number in decided}
