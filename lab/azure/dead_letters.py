"""`python -m lab dead-letters`: lists what a queue gave up on, sends it back, or throws it away.

A letter is removed only after its copy is confirmed, or written to a file: it may come back twice, never get lost.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from lab.azure.letter import Letter
from lab.azure.queue_target import QueueTarget, add_target_arguments, find_target
from lab.azure.raw_messages import bytes_of, keeping_bytes, send_bytes
from lab.azure.service_bus.codec import CodecError
from lab.azure.service_bus_errors import readable_errors

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

PEEK = 100  # per request
CALL_S = 15.0
WAIT_S = 3.0  # for the next dead letter; they are all there already
SHOWN = 48
PLAIN_WIDTH = 220

HELP = "list the dead letters, send them back or discard them"
DESCRIPTION = "List the dead letters of the queue with their reasons; with --replay send them back."
EXAMPLES = """\
examples:
  python -m lab dead-letters                      the messages that failed, and why
  python -m lab dead-letters --replay             send everything back
  python -m lab dead-letters --replay --max 10    the ten oldest
  python -m lab dead-letters --replay --only ID   this one
  python -m lab dead-letters --discard ID ID      discard these, after they are written to a file
  python -m lab dead-letters --namespace my-namespace

A replayed message gets a fresh MessageId: duplicate detection would drop the known one. Everything else stays as it
was. It is sent first and only then removed from the dead letters: a crash in between sends it twice, never loses it;
the worker decides an order once. A message that cannot be copied exactly is named and stays: exit code 1."""

Columns = Callable[[argparse.Namespace, Sequence[Letter]], Mapping[str, Sequence[str]]]
Action = Callable[[Letter], Awaitable[None]]


class NotRemoved(Exception):
    """One letter stays where it is; the message says why."""


class NothingChosen(LookupError):
    """What was asked for cannot be done as it stands; nothing was changed."""


@dataclass
class Outcome:
    """What became of the chosen letters so far. `left`: why one stayed, by its number."""

    done: list[Letter] = field(default_factory=list)
    left: dict[int, str] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser, columns: Columns = lambda _options, _letters: {}) -> None:
    """`columns`: what else the table shows, one cell per letter under each heading."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--replay", action="store_true", help="send each one back to the queue with a fresh MessageId")
    what.add_argument("--discard", nargs="+", metavar="ID", help="write these to a file and remove them")
    parser.add_argument("--only", nargs="+", metavar="ID", help="list or replay these alone, by MessageId")
    parser.add_argument("--yes", action="store_true", help="discard without asking")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where --discard writes (default: a new file here)")
    parser.add_argument(
        "--max", type=int, default=1000, metavar="N", help="at most N, the oldest first (default: 1000)"
    )
    add_target_arguments(parser)
    parser.set_defaults(columns=columns)


def run(options: argparse.Namespace) -> int:
    """List, and replay or discard if asked to; returns the exit code: 1 if anything stayed that should have gone."""
    with readable_errors():
        target = find_target(options)
        letters = asyncio.run(listed(target, options.max))
        wanted = choose(letters, options.discard or options.only)
        show(target, wanted, options.columns(options, wanted))
        if not wanted or not (options.replay or options.discard):
            return 0
        if options.discard:
            keep(wanted, options.to, asked=options.yes or confirmed(len(wanted), target))
        return work_off(target, wanted, replay=options.replay)
    return 1


@contextlib.asynccontextmanager
async def connected(
    target: QueueTarget, *, dead: bool = True
) -> AsyncIterator[tuple[ServiceBusClient, ServiceBusReceiver]]:
    """A client, and a receiver of the dead letters or of the queue itself, whose messages keep their bytes."""
    from azure.servicebus import ServiceBusSubQueue

    part = ServiceBusSubQueue.DEAD_LETTER if dead else None
    with keeping_bytes():
        async with (
            target.connection.client() as client,
            client.get_queue_receiver(target.queue, sub_queue=part) as receiver,
        ):
            yield client, receiver


async def listed(target: QueueTarget, limit: int, *, dead: bool = True) -> list[Letter]:
    """The oldest `limit` dead letters, or messages of the queue; they stay where they are. Raises the SDK's errors."""
    async with connected(target, dead=dead) as (_, receiver):
        return await peek(receiver, limit)


async def peek(receiver: ServiceBusReceiver, limit: int) -> list[Letter]:
    """The oldest `limit` messages; they stay where they are. To be called inside `keeping_bytes`."""
    found: list[Letter] = []
    next_number = 1
    while len(found) < limit:
        wanted = min(PEEK, limit - len(found))
        page = await receiver.peek_messages(wanted, sequence_number=next_number, timeout=CALL_S)
        if not page:
            break
        found += [Letter(bytes_of(message)) for message in page]
        next_number = max(found[-1].number + 1, next_number + 1)
    return found


def choose(letters: Sequence[Letter], ids: Sequence[str] | None) -> list[Letter]:
    """All, or those with these MessageIds. Raises NothingChosen if one has none of the letters."""
    if ids is None:
        return list(letters)
    missing = set(ids) - {letter.message_id for letter in letters}
    if missing:
        raise NothingChosen(f"No dead letter has the MessageId {', '.join(sorted(missing))}: nothing was changed.")
    return [letter for letter in letters if letter.message_id in ids]


def confirmed(count: int, target: QueueTarget) -> bool:
    """Ask the user. Without a terminal the answer is no."""
    if not sys.stdin.isatty():
        return False
    return input(f"Remove {count} from the dead letters of '{target.queue}' for good? [y/N] ").strip().lower() == "y"


def keep(letters: Sequence[Letter], to: Path | None, *, asked: bool) -> None:
    """Write the letters to a new file, one JSON object per line; `amqp` is the whole message.

    Raises NothingChosen without consent, and OSError.
    """
    if not asked:
        raise NothingChosen("Nothing was discarded: answer y in a terminal, or give --yes.")
    path = to or Path(f"dead-letters-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.jsonl")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        for letter in letters:
            told = {name: getattr(letter, name) for name in ("message_id", "reason", "description", "kind", "text")}
            file.write(json.dumps(told | {"amqp": base64.b64encode(letter.raw).decode()}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    print(f"Wrote them to {path}.")


def work_off(target: QueueTarget, letters: Sequence[Letter], *, replay: bool) -> int:
    """Replay or remove the letters and say what became of them, however it ends; returns the exit code."""
    outcome = Outcome()
    try:
        asyncio.run(work(target, letters, outcome, replay=replay))
    finally:
        names = {letter.number: letter.message_id for letter in letters}
        for number, why in outcome.left.items():
            print(printable(f"left: {names[number]}: {why}"), file=sys.stderr)
        count = f"{len(outcome.done)} of {len(letters)}"
        where = f"back to queue '{target.queue}' with fresh MessageIds" if replay else f"from queue '{target.queue}'"
        print(f"{'Sent' if replay else 'Removed'} {count} {where}.")
    return 1 if outcome.left else 0


async def work(target: QueueTarget, letters: Sequence[Letter], outcome: Outcome, *, replay: bool) -> None:
    """Send the letters back, or only remove them; `outcome` is kept up to date. Raises the SDK's errors."""
    async with connected(target) as (client, receiver), client.get_queue_sender(target.queue) as sender:
        await take(receiver, letters, copier(sender) if replay else None, outcome)


def copier(sender: ServiceBusSender) -> Action:
    """Sends a letter's copy; returns when it is confirmed."""
    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.exceptions import MessageSizeExceededError

    async def send_copy(letter: Letter) -> None:
        message_id = str(uuid.uuid4())
        try:
            raw = letter.copy(message_id, int(time.time() * 1000))
            outside = ServiceBusMessage(None, message_id=message_id, **letter.outside)
            await send_bytes(sender, raw, outside, CALL_S)
        except (CodecError, MessageSizeExceededError, ValueError, TypeError) as error:
            raise NotRemoved(f"not sent: {error}") from error

    return send_copy


async def take(receiver: ServiceBusReceiver, letters: Iterable[Letter], act: Action | None, outcome: Outcome) -> None:
    """Receive the dead letters in their order; act on each of `letters` and remove it, leave the others alone.

    One that fails again meanwhile goes to the end of the queue and is not seen.
    """
    waiting = {letter.number for letter in letters}
    passed: dict[int, ServiceBusReceivedMessage] = {}  # locked while they can be, or they would come again and again
    try:
        while waiting:
            page = await receiver.receive_messages(max_message_count=1, max_wait_time=WAIT_S)
            if not page:
                break
            letter = Letter(bytes_of(page[0]))
            passed[letter.number] = page[0]
            if letter.number > max(waiting):
                break
            if letter.number not in waiting:
                continue
            waiting.discard(letter.number)
            try:
                if act:
                    await act(letter)
                await complete(receiver, passed.pop(letter.number))
                outcome.done.append(letter)
            except NotRemoved as why:
                outcome.left[letter.number] = str(why)
                passed[letter.number] = page[0]
    finally:
        await release(receiver, passed.values())
    outcome.left |= dict.fromkeys(waiting, "it was not there: somebody else removed it, or holds it now")


async def complete(receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
    """Remove it. Raises NotRemoved if its lock is lost."""
    from azure.servicebus.exceptions import MessageLockLostError

    try:
        async with asyncio.timeout(CALL_S):
            await receiver.complete_message(message)
    except MessageLockLostError as error:
        raise NotRemoved("it is still here: its lock ran out before it could be removed") from error


async def release(receiver: ServiceBusReceiver, messages: Iterable[ServiceBusReceivedMessage]) -> None:
    """Release messages that were only skipped. If a release fails, the lock expires by itself."""
    from azure.servicebus.exceptions import ServiceBusError

    for message in messages:
        with contextlib.suppress(ServiceBusError, ValueError, TimeoutError):
            async with asyncio.timeout(CALL_S):
                await receiver.abandon_message(message)


def show(target: QueueTarget, letters: Sequence[Letter], columns: Mapping[str, Sequence[str]]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    if not letters:
        console.print(f"No dead letters in queue '{target.queue}' of {target.place}.", markup=False, highlight=False)
        return
    table = Table(title=f"Dead letters of queue '{target.queue}'", title_justify="left")
    for heading in ("MessageId", *columns, "reason", "description", "deliveries", "enqueued (UTC)", "body"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "MessageId")  # to be copied for --only
    for at, letter in enumerate(letters):
        cells = (letter.message_id, *(column[at] for column in columns.values()), *row(letter))
        table.add_row(*map(printable, cells))
    console.print(table, markup=False)


def printable(text: str) -> str:
    """The text without control characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def row(letter: Letter) -> list[str]:
    """One dead letter's last cells."""
    at = letter.enqueued_at
    body = letter.text
    return [
        letter.reason,
        letter.description,
        str(letter.deliveries),
        f"{at:%Y-%m-%d %H:%M:%S}" if at else "",
        body[:SHOWN] + ("..." if len(body) > SHOWN else ""),
    ]
