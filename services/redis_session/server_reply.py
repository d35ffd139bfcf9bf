"""What an error reply says about the server rather than about the command: by its code, and by its text.

By text too, because Redis 6 wraps what a script's command was told into an error of the script: `Error running script
(call to f_...): @user_script:1: -READONLY You can't write against a read only replica.` (redis-py issue 3443).
"""

import re
from enum import Enum, auto

from redis.asyncio import Redis
from redis.exceptions import RedisError


class ServerState(Enum):
    """What is to be done about the server's reply. In every case the command did not run."""

    RECREATE = auto()  # this connection is of no use any more: READONLY after a failover, NOAUTH, WRONGPASS
    WAIT = auto()  # keep the connection and try again a little later
    FULL = auto()  # no room for writes, in memory or on disk: repeating does not help now


_STATES = {
    "READONLY": ServerState.RECREATE,
    "NOAUTH": ServerState.RECREATE,
    "WRONGPASS": ServerState.RECREATE,
    "LOADING": ServerState.WAIT,
    "BUSY": ServerState.WAIT,
    "MASTERDOWN": ServerState.WAIT,
    "CLUSTERDOWN": ServerState.WAIT,
    "TRYAGAIN": ServerState.WAIT,
    "NOREPLICAS": ServerState.WAIT,
    "OOM": ServerState.FULL,
    "MISCONF": ServerState.FULL,
}
_CODE = re.compile(rf"(?:^|: -)({'|'.join(_STATES)})\b(?!-)")


def server_state(error: RedisError) -> tuple[str, ServerState] | None:
    """The code found in an error reply and what it asks for; None if the reply is about the command itself."""
    code = getattr(error, "status_code", None)
    if code in _STATES:
        return code, _STATES[code]
    found = _CODE.search(str(error))
    return (found[1], _STATES[found[1]]) if found else None


async def hear(client: Redis) -> None:
    """PING; returns once the server has answered, be it that it is LOADING or BUSY: then it is there."""
    try:
        await client.ping()
    except RedisError as error:
        found = server_state(error)
        if found is None or found[1] is not ServerState.WAIT:
            raise
