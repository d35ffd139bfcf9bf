"""What an error reply says about the server, the rights or the place rather than about the command.

By its code, as proxies reword the rest. A script may return any code, so what EVAL, EVALSHA and FCALL answer, and what
an unknown command answered, is known by the server's own whole sentence, also where Redis 6 wraps it: `Error running
script (call to f_...): @user_script:1: -READONLY You can't write against a read only replica.` (redis-py issue 3443).
"""

from __future__ import annotations

import re
from enum import Enum, auto

from redis.asyncio import Redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)

from .errors import RedisUnavailable


class ServerState(Enum):
    """What is to be done about the server's reply. The command did not run; of a script REFUSED halfway, a part did."""

    RECREATE = auto()  # this connection is of no use any more: READONLY after a failover, NOAUTH, WRONGPASS
    WAIT = auto()  # keep the connection and try again a little later
    FULL = auto()  # no room for writes, in memory or on disk: repeating does not help now
    ELSEWHERE = auto()  # this is a cluster, and another of its nodes serves the key
    REFUSED = auto()  # no rights, or not in this way: repeating does not help before somebody changes that


_RECREATE, _WAIT, _FULL, _ELSEWHERE, _REFUSED = ServerState
_STATES = {
    "READONLY": (_RECREATE, "You can't write against a read only"),
    "NOAUTH": (_RECREATE, "Authentication required"),
    "WRONGPASS": (_RECREATE, "invalid username-password pair"),
    "LOADING": (_WAIT, r"\w+ is loading the dataset in memory"),
    "BUSY": (_WAIT, r"\w+ is busy running a"),
    "MASTERDOWN": (_WAIT, "Link with MASTER is down"),
    "CLUSTERDOWN": (_WAIT, "(?:The cluster is down|Hash slot not served)"),
    "TRYAGAIN": (_WAIT, "Multiple keys request during rehashing of slot"),
    "NOREPLICAS": (_WAIT, "Not enough good replicas to write"),
    "OOM": (_FULL, "command not allowed when used memory > 'maxmemory'"),
    "MISCONF": (_FULL, r"(?:\w+ is configured to save RDB snapshots|Errors writing to the AOF file)"),
    "NOPERM": (_REFUSED, ".*?(?:[Nn]o permissions|The user executing the script can't)"),
    "MOVED": (_ELSEWHERE, r"\d+ \S*:\d+$"),
    "ASK": (_ELSEWHERE, r"\d+ \S*:\d+$"),
    "CROSSSLOT": (_REFUSED, "Keys in request don't hash to the same slot"),
    "DENIED": (_REFUSED, r"\w+ is running in protected mode"),
}
_SENTENCE = re.compile(
    "(?:^|: -|because of: )(?:" + "|".join(f"(?P<{code}>{code} {words})" for code, (_, words) in _STATES.items()) + ")"
)
_IN_PIPELINE = re.compile(  # redis-py's; from 7 on it quotes the error as a tuple
    r"^Command # \d+ \((?P<name>\w+).*\) of pipeline caused error: (?:\(['\"])?", re.DOTALL
)
_SCRIPTS = frozenset(["EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"])
_CODES = {  # redis-py before 7.2 keeps no code
    AskError: "ASK",
    AuthenticationError: "NOAUTH",
    BusyLoadingError: "LOADING",
    ClusterCrossSlotError: "CROSSSLOT",
    ClusterDownError: "CLUSTERDOWN",
    MasterDownError: "MASTERDOWN",
    MovedError: "MOVED",
    NoPermissionError: "NOPERM",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    TryAgainError: "TRYAGAIN",
}


def runs_script(name: str) -> bool:
    """Whether a command's error reply may be a script's own."""
    return name.upper() in _SCRIPTS


def server_state(error: RedisError) -> tuple[str, ServerState] | None:
    """The code found in an error reply and what it asks for; None if the reply is about the command itself.

    The error's attribute `command`, where set, is the name of the command that got the reply.
    """
    text, command = str(error), getattr(error, "command", None)
    if (inside := _IN_PIPELINE.match(text)) is not None:
        text, command = text[inside.end() :], command or inside["name"]
    code = getattr(error, "status_code", None) or _CODES.get(type(error)) or text.split(" ", 1)[0]
    if code in _STATES and command is not None and not runs_script(command):
        return code, _STATES[code][0]
    found = _SENTENCE.search(text if text.startswith(f"{code} ") else f"{code} {text}") or _SENTENCE.search(text)
    if found is None or (said := found.lastgroup) is None:
        return None
    return said, _STATES[said][0]


def did_not_run(error: RedisError) -> bool:
    """Whether an error reply proves that the command did nothing."""
    found = server_state(error)
    if found is None:
        return isinstance(error, NoScriptError) and "No matching script" in str(error)
    return found[1] is not ServerState.REFUSED or not runs_script(getattr(error, "command", "EVAL"))


async def hear(client: Redis) -> None:
    """PING; returns once the server has answered, be it with an error: then it is there.

    Raises the error if this connection is of no use any more.
    """
    try:
        await client.ping()
    except RedisUnavailable:
        raise
    except RedisError as error:
        found = server_state(error)
        if found is not None and found[1] is ServerState.RECREATE:
            raise


async def answer_to_ping(client: Redis) -> None:
    """PING; returns once the server has answered that it serves: an error about PING alone says so, too."""
    try:
        await client.ping()
    except RedisUnavailable:
        raise
    except RedisError as error:
        found = server_state(error)
        if found is not None and found[1] in (ServerState.RECREATE, ServerState.WAIT):
            raise
