"""What a command's name decides before anything is packed: its words, its callback, may it share a connection.

It never looks at a value: only at names, sub-commands and options.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from redis.exceptions import DataError


class Need(Enum):
    """Why a command can't travel on the connection that every caller shares."""

    BLOCKS = "would block"  # a pooled connection serves it
    CHANGES_STATE = "would change the state of"  # so would a pooled one, for its next borrower


class CommandPlan(NamedTuple):
    """`words`: what the name is sent as, None if unchanged. `key`: looks up the response callback.

    `need`: None, or a function of the command's arguments (its name first, split) that says what it needs.
    """

    words: tuple[bytes, ...] | None
    key: str | bytes
    need: Callable[[Sequence[Any]], Need | None] | None

    @property
    def name(self) -> str:
        """The command's first word, in upper case."""
        return _upper(self.key).split(maxsplit=1)[0].decode(errors="replace")

    def split(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """A command's arguments with its name as the words it is sent as."""
        return args if self.words is None else self.words + args[1:]


_BLOCKING = frozenset(b"BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF HIMPORT".split())
_STATEFUL = frozenset(
    b"MULTI EXEC DISCARD WATCH UNWATCH SELECT AUTH HELLO RESET QUIT MONITOR SYNC PSYNC REPLCONF READONLY READWRITE "
    b"ASKING SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE".split()
)
_STATEFUL_SUBCOMMANDS = {
    b"CLIENT": frozenset(b"REPLY TRACKING CACHING NO-EVICT NO-TOUCH MAINT_NOTIFICATIONS".split()),
    b"SCRIPT": frozenset([b"DEBUG"]),
}
_OPTIONS_START = {b"XREAD": 1, b"XREADGROUP": 4}  # XREADGROUP GROUP <group> <consumer>: names are no options


def _upper(argument: Any) -> bytes:
    text = argument.encode(errors="replace") if isinstance(argument, str) else bytes(argument)
    return text.upper()


def _subcommand_need(args: Sequence[Any]) -> Need | None:
    states = _STATEFUL_SUBCOMMANDS[_upper(args[0])]
    return Need.CHANGES_STATE if len(args) > 1 and _upper(args[1]) in states else None


def _stream_need(args: Sequence[Any]) -> Need | None:
    for option in args[_OPTIONS_START[_upper(args[0])] :]:
        if not isinstance(option, (str, bytes, bytearray, memoryview)):
            continue
        if (word := _upper(option)) == b"STREAMS":
            break
        if word == b"BLOCK":
            return Need.BLOCKS
    return None


def _need_of(word: bytes) -> Callable[[Sequence[Any]], Need | None] | None:
    if word in _BLOCKING:
        return lambda _: Need.BLOCKS
    if word in _STATEFUL:
        return lambda _: Need.CHANGES_STATE
    if word in _STATEFUL_SUBCOMMANDS:
        return _subcommand_need
    return _stream_need if word in _OPTIONS_START else None


@lru_cache(maxsize=1024)
def command_plan(name: str | bytes) -> CommandPlan:
    """The plan of a command by its name as redis-py takes it: "GET", b"get", "CONFIG GET". Raises DataError."""
    if not isinstance(name, (str, bytes)):
        raise DataError(f"a command's name is a str or bytes, not {type(name).__name__}")
    words = tuple(name.encode().split() if isinstance(name, str) else name.split())
    if not words:  # it would go out as a command without words, to which Redis never replies
        raise DataError("a command needs a name")
    as_it_stands = len(words) == 1 and len(words[0]) == len(name)
    return CommandPlan(None if as_it_stands else words, name.upper(), _need_of(words[0].upper()))
