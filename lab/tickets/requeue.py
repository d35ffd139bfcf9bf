"""`python -m lab requeue`: finds a drop's orders that stay queued, and puts their messages on the queue again.

A decision or a message may be lost (a failover, a message completed without a call); the order's record remains.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from typing import Any

import httpx

from lab.azure.enqueue import make_messages, send
from lab.azure.queue_target import add_target_arguments, find_target
from lab.azure.service_bus_errors import readable_errors
from lab.tickets.app_client import NoAnswer, add_app_arguments, find_app, get

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PAGE = 500  # the most that a page looks at

HELP = "find orders that stay queued, and put them on the queue again"
DESCRIPTION = (
    "List a drop's orders that have been queued for a while; with --send put their messages on the queue again."
)
EXAMPLES = """\
examples:
  python -m lab requeue --drop demo                          queued for 15 minutes and longer, in the running lab
  python -m lab requeue --url "$URL" --key "$KEY" --drop demo --older-than 1h
  python -m lab requeue --url "$URL" --key "$KEY" --drop demo --namespace my-namespace --send

Look at the queue first: an order whose message still waits there is only late. Sending it again is harmless:
each message gets a fresh MessageId, and the worker decides an order once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--drop", required=True, metavar="ID", help="the drop")
    parser.add_argument(
        "--older-than", type=duration, default=900, metavar="TIME", help="queued for at least: 90s, 15m, 2h (15m)"
    )
    parser.add_argument("--send", action="store_true", help="put them on the queue again")
    add_app_arguments(parser, "the app that knows the drop (default: the running lab's)")
    add_target_arguments(parser)


def duration(text: str) -> int:
    """Seconds. Raises ArgumentTypeError."""
    parts = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not parts:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 15m, 2h or 1d")
    return int(parts[1]) * UNITS[parts[2]]


def run(options: argparse.Namespace) -> int:
    """List, and send if asked to; returns the exit code."""
    with readable_errors():
        with find_app(options) as app:
            orders = queued_orders(app, options.drop, options.older_than)
        for order in orders:
            print(*(order[name] for name in ("order_id", "customer_id", "quantity", "placed_at")), sep="  ")
        print(f"{len(orders)} of drop {options.drop} queued for that long.")
        if orders and options.send:
            target = find_target(options)
            asyncio.run(send(target, make_messages([json.dumps(order).encode() for order in orders], None)))
            print(f"Sent {len(orders)} to queue '{target.queue}' of {target.place} with fresh MessageIds.")
        return 0
    return 1


def queued_orders(app: httpx.Client, drop_id: str, queued_for_s: int) -> list[dict[str, Any]]:
    """The drop's orders that have been queued for that long, each once. Raises NoAnswer."""
    found: dict[str, dict[str, Any]] = {}
    cursor: str | None = "0"
    while cursor is not None:
        wanted: dict[str, str | int] = {"status": "queued", "queued_for_s": queued_for_s, "limit": PAGE}
        page = get(app, f"/drops/{drop_id}/orders", **wanted, cursor=cursor)
        if page is None:
            raise NoAnswer(f"There is no drop {drop_id}.")
        found |= {order["order_id"]: order for order in page["orders"]}
        cursor = page["cursor"]
    return list(found.values())
