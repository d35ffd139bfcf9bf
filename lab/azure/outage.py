"""`python -m lab break`: takes the running lab's Redis or Service Bus away for a while, and gives it back.

Must only touch what that lab started, and must give it back however the command ends.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lab.azure.redis_server import HOST, answers_ping, free_port
from lab.azure.service_bus_errors import readable_errors
from lab.azure.state_file import LabState, add_state_argument, running

if TYPE_CHECKING:
    from redis import Redis

RESTART = signal.SIGUSR1  # asks `lab up` to start its Redis again
ADMIN_S = 5.0
BACK_S = 15.0
POLL_S = 0.05
MOST_S = 600.0

HELP = "stop Redis or Service Bus for a while"
DESCRIPTION = """\
Stop the running lab's Redis or Service Bus for some seconds, then restore it. Meanwhile send requests and watch the
log of `python -m lab up`. Ctrl-C restores it at once."""
EXAMPLES = """\
examples:
  python -m lab break redis                    killed, and started again after 10 s with its data
  python -m lab break redis --for 30           the same, after 30 s
  python -m lab break redis --freeze           it accepts connections and does not answer (SIGSTOP)
  python -m lab break redis --full             every connection is closed and no new one accepted
  python -m lab break redis --read-only        it refuses writes, as a replica does after a failover
  python -m lab break bus                      the Service Bus does not answer

The local Service Bus is always frozen, never killed: it keeps its messages in memory, which Azure's does not."""


class NothingToBreak(LookupError):
    """The lab that runs has no such part of its own; the message says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", choices=("redis", "bus"), help="what to break")
    parser.add_argument("--for", dest="seconds", type=_seconds, default=10.0, metavar="S", help="seconds (default: 10)")
    how = parser.add_mutually_exclusive_group()
    for option, text in (
        ("freeze", "it does not answer"),
        ("full", "it accepts no client (Redis only)"),
        ("read-only", "it refuses writes (Redis only)"),
    ):
        how.add_argument(f"--{option}", dest="how", action="store_const", const=option, help=text)
    add_state_argument(parser)


def _seconds(text: str) -> float:
    """A duration. Raises ArgumentTypeError."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= MOST_S:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to {MOST_S:.0f}")


def run(options: argparse.Namespace) -> int:
    """Break it, wait, give it back; returns the exit code."""
    with readable_errors():
        what, fault = chosen(options.part, options.how, running(options.state))
        with ended_by_signals(), contextlib.suppress(KeyboardInterrupt), fault:
            print(f"{what} for {options.seconds:g} s; Ctrl-C restores it at once.", flush=True)
            time.sleep(options.seconds)
        print("It is back.")
        return 0
    return 1


def chosen(part: str, how: str | None, state: LabState) -> tuple[str, AbstractContextManager[None]]:
    """What happens in words, and the fault. Raises NothingToBreak, or ValueError for a fault that a bus has not."""
    if part == "bus":
        if how not in (None, "freeze"):
            raise ValueError(f"--{how} is for Redis: the Service Bus can only be frozen.")
        return "The Service Bus does not answer", frozen(own_pid(state, part))
    pid = own_pid(state, part)
    match how:
        case "freeze":
            return "Redis does not answer", frozen(pid)
        case "full":
            return "Redis lets no client in", full(state.redis_url)
        case "read-only":
            return "Redis refuses writes", read_only(state.redis_url)
        case _:
            return "Redis is gone", killed(pid, state)


def own_pid(state: LabState, part: str) -> int:
    """The process that the running lab started for this part. Raises NothingToBreak."""
    pid = state.pids.get(part)
    if pid is None:
        raise NothingToBreak(f"This lab uses a {part} that it did not start: it is not touched.")
    if not is_child(pid, state.pid):
        raise NothingToBreak(f"The {part} of this lab has ended: end the lab and start it again.")
    return pid


def is_child(pid: int, parent: int) -> bool:
    """True if the process runs and is the parent's: a process id may have been given to somebody else since."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z" and int(fields[1]) == parent


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does, so that what was broken is given back."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process stands still; the kernel goes on accepting connections and bytes."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def killed(pid: int, state: LabState) -> Iterator[None]:
    """A crash; afterwards the lab starts the server again, with everything it had logged. Raises TimeoutError."""
    os.kill(pid, signal.SIGKILL)
    while is_child(pid, state.pid):
        time.sleep(POLL_S)
    try:
        yield
    finally:
        os.kill(state.pid, RESTART)
        ends = time.monotonic() + BACK_S
        while not answers_ping(urlsplit(state.redis_url).port or 6379):
            if time.monotonic() > ends:
                raise TimeoutError("Redis did not come back: see the log of `python -m lab up`.")
            time.sleep(POLL_S)


@contextlib.contextmanager
def full(url: str) -> Iterator[None]:
    """All connections but this one are closed, and it takes the only place."""
    with admin(url) as redis:
        limit = redis.config_get("maxclients")["maxclients"] or 10_000
        redis.config_set("maxclients", 1)
        try:
            redis.client_kill_filter(_type="normal", skipme=True)
            yield
        finally:
            redis.config_set("maxclients", limit)


@contextlib.contextmanager
def read_only(url: str) -> Iterator[None]:
    """A replica of nobody: PING and reads go on, writes are refused."""
    with admin(url) as redis:
        redis.replicaof(HOST, free_port())
        try:
            yield
        finally:
            redis.replicaof("NO", "ONE")


@contextlib.contextmanager
def admin(url: str) -> Iterator[Redis]:
    """A connection of this command's own. Raises OSError if Redis does not answer."""
    from redis import Redis, RedisError  # when used: `lab up` need not wait for it

    try:
        with Redis.from_url(
            url,
            client_name="lab",
            single_connection_client=True,
            socket_timeout=ADMIN_S,
            socket_connect_timeout=ADMIN_S,
        ) as redis:
            yield redis
    except RedisError as error:
        raise OSError(f"Redis: {error}") from error
