"""Which hash slot a command belongs to: its name tells where its keys are, and the keys hash to the slot.

It asks no server. The positions are those of Valkey 9.1 and Redis 8 (`COMMAND`). A command that is not named here is
taken to have one key, its first argument, like most commands and those of modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from redis.crc import key_slot
from redis.exceptions import RedisClusterException

Words: TypeAlias = Sequence[Any]  # a command's arguments, its name first, split

_KEYLESS = (
    "ACL ASKING AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND COMMANDLOG CONFIG DBSIZE DEBUG DISCARD ECHO EXEC "
    "FAILOVER FLUSHALL FLUSHDB FUNCTION HELLO INFO KEYS LASTSAVE LATENCY LOLWUT MIGRATE MODULE MONITOR MULTI "
    "PFSELFTEST PING PSUBSCRIBE PSYNC PUBLISH PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE REPLCONF "
    "REPLICAOF RESET ROLE SAVE SCAN SCRIPT SELECT SHUTDOWN SLAVEOF SLOWLOG SUBSCRIBE SWAPDB SYNC TIME UNSUBSCRIBE "
    "UNWATCH WAIT WAITAOF"
)
_RANGES = {  # (first, last, step); the last counted from the end if negative
    (1, -1, 1): "DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SSUBSCRIBE SUNION SUNIONSTORE "
    "SUNSUBSCRIBE TOUCH UNLINK WATCH",
    (1, -2, 1): "BLPOP BRPOP BZPOPMAX BZPOPMIN JSON.MGET",
    (1, -1, 2): "MSET MSETNX",
    (1, -1, 3): "JSON.MSET TS.MADD",
    (1, 2, 1): "BLMOVE BRPOPLPUSH COPY GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE",
    (2, -1, 1): "BITOP",
    (2, 2, 1): "MEMORY OBJECT PFDEBUG XGROUP XINFO",
}
_COUNTED = {  # where the number of keys stands; they follow it
    1: "LMPOP MSETEX SINTERCARD ZDIFF ZINTER ZINTERCARD ZMPOP ZUNION",
    2: "BLMPOP BZMPOP EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO ZDIFFSTORE ZINTERSTORE ZUNIONSTORE",
}
_STEPS = {"MSETEX": 2}
_STORING = {"GEORADIUS", "GEORADIUSBYMEMBER", "SORT"}  # an option of theirs names a second key


def upper(word: Any) -> str:
    """A word of a command."""
    return (word if isinstance(word, str) else bytes(word).decode(errors="replace")).upper()


def _between(first: int, last: int, step: int) -> Callable[[Words], Words]:
    return lambda words: words[first : last + 1 if last > 0 else len(words) + last + 1 : step]


def _counted(at: int, step: int, destination: bool) -> Callable[[Words], Words]:
    def keys(words: Words) -> Words:
        try:
            count = int(words[at])
        except (ValueError, TypeError, IndexError):
            return ()  # the server will say what is wrong with it
        found = words[at + 1 : at + 1 + max(count, 0) * step : step]
        return (words[1], *found) if destination else found

    return keys


def _after_streams(words: Words) -> Words:
    """XREAD's and XREADGROUP's: half of what follows STREAMS."""
    for at, word in enumerate(words):
        if isinstance(word, (str, bytes)) and upper(word) == "STREAMS":
            rest = words[at + 1 :]
            return rest[: len(rest) // 2]
    return ()


def _with_stored(words: Words) -> Words:
    options = [upper(word) if isinstance(word, (str, bytes)) else "" for word in words[:-1]]
    return (words[1], *(words[at + 1] for at, word in enumerate(options) if at > 1 and word in ("STORE", "STOREDIST")))


@lru_cache(maxsize=1024)
def key_finder(name: str) -> Callable[[Words], Words]:
    """Finds the keys among the words of the command of this name (upper case)."""
    if name in _KEYLESS.split():
        return lambda _: ()
    for (first, last, step), names in _RANGES.items():
        if name in names.split():
            return _between(first, last, step)
    for at, names in _COUNTED.items():
        if name in names.split():
            return _counted(at, _STEPS.get(name, 1), name.endswith("STORE"))
    if name in ("XREAD", "XREADGROUP"):
        return _after_streams
    return _with_stored if name in _STORING else _between(1, 1, 1)


def slot_of(name: str, words: Words, encode: Callable[[Any], Any]) -> int | None:
    """The slot of a command, None if it has no keys. Raises RedisClusterException if its keys are of several slots."""
    keys = key_finder(name)(words)
    if not keys:
        return None
    first, *others = [key_slot(key if type(key) is bytes else bytes(encode(key))) for key in keys]
    for at, other in enumerate(others):
        if other != first:
            raise RedisClusterException(
                f"{name}: its keys lie in several slots of the cluster ({keys[0]!r} in {first}, {keys[at + 1]!r} in "
                f"{other}): a common {{hash tag}} puts them in one"
            )
    return first
