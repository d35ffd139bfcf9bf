"""`python -m lab enqueue`: puts messages on a queue by hand, local or real.

Checks all messages before it sends the first one, so invalid input sends nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lab.azure.queue_target import QueueTarget, add_target_arguments, find_target
from lab.azure.service_bus_errors import readable_errors

MAX_BODY = 256 * 1024  # bytes; the limit of a message on the Standard tier
MAX_INPUT = 64 * 1024 * 1024  # bytes of a file or of stdin
MAX_ID = 128  # characters of a MessageId
SEND_S = 15.0
SHOWN = 60

HELP = "put messages on the queue by hand"
DESCRIPTION = "Put messages on the queue: bodies from the arguments, from a file (one per line) or from stdin."
EXAMPLES = """\
examples:
  python -m lab enqueue '{"x": 1}'                     one message
  python -m lab enqueue --file messages.jsonl          one message per line
  generate | python -m lab enqueue --file -            the same from stdin
  python -m lab enqueue --namespace my-namespace '{}'  a real namespace, as whoever is signed in (az login)

A message gets a fresh MessageId unless you give one: duplicate detection drops a MessageId it has seen."""


class BadInput(ValueError):
    """What was given cannot be sent; the message says why."""


@dataclass(frozen=True)
class Message:
    """One message to send."""

    body: bytes
    message_id: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bodies", nargs="*", metavar="BODY", help="a message's body")
    parser.add_argument("--file", metavar="FILE", help="a file with one body per line, - for stdin")
    parser.add_argument("--message-id", metavar="ID", help="the MessageId of a single message (default: a fresh UUID)")
    add_target_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Send what the options say; returns the exit code."""
    with readable_errors():
        messages = make_messages(read_bodies(options.bodies, options.file), options.message_id)
        target = find_target(options)
        asyncio.run(send(target, messages))
        report(target, messages)
        return 0
    return 1


def read_bodies(arguments: Sequence[str], file: str | None) -> list[bytes]:
    """The bodies given; empty lines of a file are none. Raises BadInput if there are none, OSError for a file."""
    bodies = [argument.encode() for argument in arguments]
    if file is not None:
        with contextlib.nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as source:
            content = source.read(MAX_INPUT + 1)
        if len(content) > MAX_INPUT:
            raise BadInput(f"{file} holds more than {MAX_INPUT >> 20} MB: nothing was sent. Split it.")
        bodies += [line for line in content.splitlines() if line.strip()]
    if not bodies:
        raise BadInput("Nothing to send: give a body, or --file FILE (see --help).")
    return bodies


def make_messages(bodies: Sequence[bytes], message_id: str | None) -> list[Message]:
    """Messages with ids. Raises BadInput for a body over 256 KB or an id that does not fit."""
    for number, body in enumerate(bodies, start=1):
        if len(body) > MAX_BODY:
            raise BadInput(f"Message {number} has {len(body)} bytes, the limit is {MAX_BODY}: nothing was sent.")
    if message_id is None:
        return [Message(body, str(uuid.uuid4())) for body in bodies]
    if len(bodies) != 1 or not 1 <= len(message_id) <= MAX_ID:
        raise BadInput(f"--message-id is for a single message and takes 1 to {MAX_ID} characters.")
    return [Message(bodies[0], message_id)]


async def send(target: QueueTarget, messages: Sequence[Message]) -> None:
    """Send all messages, in order. Raises the SDK's errors."""
    from azure.servicebus import ServiceBusMessage

    async with target.connection.client() as client, client.get_queue_sender(target.queue) as sender:
        for message in messages:
            sent = ServiceBusMessage(message.body, message_id=message.message_id, content_type="application/json")
            await sender.send_messages(sent, timeout=SEND_S)


def report(target: QueueTarget, messages: Sequence[Message]) -> None:
    console = Console(highlight=False, markup=False)
    for message in messages:
        body = message.body.decode(errors="replace")
        console.print(f"{message.message_id}  {body[:SHOWN]}{'...' if len(body) > SHOWN else ''}", soft_wrap=True)
    noun = "message" if len(messages) == 1 else "messages"
    console.print(f"Sent {len(messages)} {noun} to queue '{target.queue}' of {target.place}.", soft_wrap=True)
