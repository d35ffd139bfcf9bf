"""Who serves which slot of a cluster: read from CLUSTER SHARDS, or from CLUSTER SLOTS where that is not known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, NamedTuple

from redis.exceptions import NoPermissionError, ResponseError

SLOTS = 16384


class Place(NamedTuple):
    """Where a node is reached: a name or an IP address, and a port."""

    host: str
    port: int


@dataclass(frozen=True)
class Topology:
    """`owners`: the primary of each slot, None where nobody serves it. `others`: replicas, asked last."""

    owners: tuple[Place | None, ...]
    primaries: frozenset[Place]
    others: tuple[Place, ...]


def name_to_verify(configured: str, at: Place) -> str | None:
    """Whom a node's certificate names: the host that was configured, if the node is known by its IP address alone.

    Azure Managed Redis answers so: one certificate, in the cache's name, for nodes known by address and port.
    """
    return configured if _is_ip(at.host) and not _is_ip(configured) else None


def _is_ip(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


async def fetch_topology(ask: Callable[..., Awaitable[Any]], asked: Place, tls: bool) -> Topology:
    """Ask one node, which is reached at `asked`, by its client's `execute_command`.

    Raises ResponseError if it is in no cluster or may not say.
    """
    try:
        return _of_shards(await ask("CLUSTER", "SHARDS"), asked, tls)
    except NoPermissionError:
        raise
    except ResponseError:
        return _of_slots(await ask("CLUSTER", "SLOTS"), asked)


def redirected_to(text: str, asked: Place) -> tuple[int, Place]:
    """The slot and the place in the text of a MOVED or ASK, with its code or without. Raises ValueError."""
    slot, place = text.rsplit(" ", 2)[-2:]
    host, port = place.rsplit(":", 1)
    if not 0 <= int(slot) < SLOTS:
        raise ValueError("there is no such slot")
    return int(slot), Place(_host(host, asked), int(port))


def _host(said: Any, asked: Place) -> str:
    """A node that does not know its own address leaves it out, or says "?": it is where it was asked."""
    text = _text(said) if said else ""
    return asked.host if text in ("", "?") else text.strip("[]")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _fields(reply: Any) -> dict[str, Any]:
    """A map, which is a flat list under RESP2."""
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {_text(name): value for name, value in pairs}


def _of_shards(reply: Any, asked: Place, tls: bool) -> Topology:
    owners: list[Place | None] = [None] * SLOTS
    primaries, others = set(), []
    for shard in map(_fields, reply):
        nodes = sorted(map(_fields, shard["nodes"]), key=lambda node: _text(node["health"]) != "online")
        places = [Place(_host(node.get("endpoint") or node.get("ip"), asked), _port(node, tls)) for node in nodes]
        leading = [place for node, place in zip(nodes, places, strict=True) if _text(node["role"]) == "master"]
        others += [place for place in places if place not in leading[:1]]
        if not leading:
            continue
        ranges = list(map(int, shard["slots"]))
        if ranges or _text(nodes[places.index(leading[0])]["health"]) == "online":
            primaries.add(leading[0])
        for first, last in zip(ranges[::2], ranges[1::2], strict=True):
            owners[first : last + 1] = [leading[0]] * (last + 1 - first)
    return Topology(tuple(owners), frozenset(primaries), tuple(others))


def _port(node: dict[str, Any], tls: bool) -> int:
    return int(node.get("tls-port" if tls else "port") or node.get("port") or node["tls-port"])


def _of_slots(reply: Any, asked: Place) -> Topology:
    owners: list[Place | None] = [None] * SLOTS
    primaries, others = set(), []
    for first, last, primary, *replicas in reply:
        place = Place(_host(primary[0], asked), int(primary[1]))
        primaries.add(place)
        owners[int(first) : int(last) + 1] = [place] * (int(last) + 1 - int(first))
        others += [Place(_host(replica[0], asked), int(replica[1])) for replica in replicas]
    return Topology(tuple(owners), frozenset(primaries), tuple(others))
