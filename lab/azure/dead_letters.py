"""`python -m lab dead-letters`: lists what a queue gave up on, and sends it back.

Sends first and completes then: a message may come back twice, never get lost (the worker is idempotent).
"""

from __future__ import annotations

import argparse
import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from rich.console import Console
from rich.table import Table

from lab.azure.queue_target import QueueTarget, add_target_arguments, find_target
from lab.azure.service_bus_errors import readable_errors

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender

PEEK = 100  # per request
CALL_S = 15.0
WAIT_S = 3.0  # for the next dead letter; they are all there already
SHOWN = 48
PLAIN_WIDTH = 200
REASONS = ("DeadLetterReason", "DeadLetterErrorDescription")
Columns: TypeAlias = Mapping[str, Callable[[str], str]]  # heading -> what the body says for it; the app's own business

DESCRIPTION = "List the dead letters of the queue with their reasons, and with --replay send them back."
EXAMPLES = """\
examples:
  python -m lab dead-letters                      what did not work, and why
  python -m lab dead-letters --replay             send everything back
  python -m lab dead-letters --replay --max 10    the ten oldest
  python -m lab dead-letters --namespace my-namespace

A replayed message gets a fresh MessageId: duplicate detection would drop the known one. It is sent first and only then
removed from the dead letters: a crash in between sends it twice, never loses it; the worker decides an order once."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser], columns: Columns) -> None:
    """Add the command `dead-letters`, with `columns` in its table."""
    parser = commands.add_parser(
        "dead-letters",
        help="list what the queue gave up on, and send it back",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--replay", action="store_true", help="send each one back to the queue with a fresh MessageId")
    parser.add_argument(
        "--max", type=int, default=1000, metavar="N", help="at most N, the oldest first (default: 1000)"
    )
    add_target_arguments(parser)
    parser.set_defaults(run=partial(run, columns=columns))


def run(options: argparse.Namespace, columns: Columns) -> int:
    """List, and replay if asked to; returns the exit code."""
    with readable_errors():
        target = find_target(options)
        letters, replayed = asyncio.run(work(target, options.max, replay=options.replay))
        show(target, letters, columns)
        if options.replay:
            print(f"Sent {replayed} of {len(letters)} back to queue '{target.queue}' with fresh MessageIds.")
        return 0
    return 1


async def work(target: QueueTarget, limit: int, *, replay: bool) -> tuple[list[ServiceBusReceivedMessage], int]:
    """The dead letters, and how many of them were sent back. Raises the SDK's errors."""
    from azure.servicebus import ServiceBusSubQueue

    async with (
        target.connection.client() as client,
        client.get_queue_receiver(target.queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver,
    ):
        letters = await peek(receiver, limit)
        if not replay or not letters:
            return letters, 0
        async with client.get_queue_sender(target.queue) as sender:
            return letters, await send_back(receiver, sender, len(letters))


async def peek(receiver: ServiceBusReceiver, limit: int) -> list[ServiceBusReceivedMessage]:
    """The oldest `limit` dead letters; they stay where they are."""
    found: list[ServiceBusReceivedMessage] = []
    next_number = 1
    while len(found) < limit:
        wanted = min(PEEK, limit - len(found))
        page = await receiver.peek_messages(wanted, sequence_number=next_number, timeout=CALL_S)
        if not page:
            break
        found += page
        next_number = (page[-1].sequence_number or 0) + 1
    return found


async def send_back(receiver: ServiceBusReceiver, sender: ServiceBusSender, count: int) -> int:
    """Send the next `count` dead letters back, not more: one that fails again returns here. Returns how many."""
    done = 0
    while done < count:
        page = await receiver.receive_messages(max_message_count=1, max_wait_time=WAIT_S)
        if not page:
            break
        await sender.send_messages(fresh_copy(page[0]), timeout=CALL_S)
        async with asyncio.timeout(CALL_S):
            await receiver.complete_message(page[0])
        done += 1
    return done


def fresh_copy(letter: ServiceBusReceivedMessage) -> ServiceBusMessage:
    """The message as it was first sent, with a fresh MessageId and without the reasons it died for."""
    from azure.servicebus import ServiceBusMessage

    properties = {text(name): text(value) for name, value in (letter.application_properties or {}).items()}
    return ServiceBusMessage(
        body_of(letter),
        message_id=str(uuid.uuid4()),
        content_type=letter.content_type,
        correlation_id=letter.correlation_id,
        subject=letter.subject,
        application_properties={name: value for name, value in properties.items() if name not in REASONS},
    )


def show(target: QueueTarget, letters: Sequence[ServiceBusReceivedMessage], columns: Columns) -> None:
    """Print the table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    if not letters:
        console.print(f"No dead letters in queue '{target.queue}' of {target.place}.", markup=False, highlight=False)
        return
    table = Table(title=f"Dead letters of queue '{target.queue}'", title_justify="left")
    for heading in ("MessageId", *columns, "reason", "description", "deliveries", "enqueued (UTC)", "body"):
        table.add_column(heading, overflow="fold")
    for letter in letters:
        table.add_row(*row(letter, columns))
    console.print(table, markup=False)


def row(letter: ServiceBusReceivedMessage, columns: Columns) -> list[str]:
    """One dead letter's cells."""
    body = body_of(letter).decode(errors="replace")
    enqueued = letter.enqueued_time_utc
    return [
        str(letter.message_id),
        *(column(body) for column in columns.values()),
        str(letter.dead_letter_reason or ""),
        str(letter.dead_letter_error_description or ""),
        str(letter.delivery_count or 0),
        f"{enqueued:%Y-%m-%d %H:%M:%S}" if enqueued else "",
        body[:SHOWN] + ("..." if len(body) > SHOWN else ""),
    ]


def body_of(letter: ServiceBusReceivedMessage) -> bytes:
    """The body's bytes."""
    return b"".join(cast("list[bytes]", letter.body))


def text(value: Any) -> Any:
    """pyamqp hands strings over as bytes; sent back they must be strings again."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value
