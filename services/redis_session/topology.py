"""Who serves which slot of a cluster, by CLUSTER SLOTS: every version knows it, and names the port that TLS needs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from operator import itemgetter
from typing import Any, NamedTuple

SLOTS = 16384


class Place(NamedTuple):
    """Where a node is reached: a name or an IP address, and a port."""

    host: str
    port: int


@dataclass(frozen=True)
class Topology:
    """`ranges`: first slot, last slot, primary; nobody serves the others. `replicas`: asked last."""

    ranges: tuple[tuple[int, int, Place], ...]
    primaries: tuple[Place, ...]
    replicas: tuple[Place, ...]


def name_to_verify(configured: str, at: Place) -> str | None:
    """Whom a node's certificate names: the host that was configured, if the node is known by its IP address alone.

    Azure Managed Redis answers so: one certificate, in the cache's name, for nodes known by address and port.
    """
    return configured if _is_ip(at.host) and not _is_ip(configured) else None


@lru_cache
def _is_ip(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


async def fetch_topology(ask: Callable[..., Awaitable[Any]], asked: Place) -> Topology:
    """Ask one node, which is reached at `asked`, by its client's `execute_command`.

    Raises ResponseError if it is in no cluster or may not say.
    """
    ranges: list[tuple[int, int, Place]] = []
    primaries: dict[Place, None] = {}
    replicas: list[Place] = []
    for first, last, *nodes in sorted(await ask("CLUSTER", "SLOTS"), key=itemgetter(0)):
        primary, *others = [Place(_host(node[0], asked), int(node[1])) for node in nodes]
        ranges.append((int(first), int(last), primary))
        primaries[primary] = None
        replicas += others
    return Topology(tuple(ranges), tuple(primaries), tuple(replicas))


def redirected_to(text: str, asked: Place) -> Place | None:
    """The place in the text of a MOVED or ASK, with its code or without; a pipeline quotes it as a tuple."""
    found = re.search(r"(\S*):(\d+)\W*$", text)
    return None if found is None else Place(_host(found[1], asked), int(found[2]))


def _host(said: Any, asked: Place) -> str:
    """A node that does not know its own address leaves it out, or says "?": it is where it was asked."""
    text = said.decode() if isinstance(said, bytes) else str(said or "")
    return asked.host if text in ("", "?") else text.strip("[]")
