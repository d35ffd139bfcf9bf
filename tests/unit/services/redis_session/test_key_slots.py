"""Where a command's keys stand is what a server says of it."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from services.redis_session.key_slots import key_finder, slot_of

COMMANDS = [
    "GET a",
    "SET a 1 NX",
    "DEL a b c",
    "MSET a 1 b 2",
    "BLPOP a b 1",
    "EVAL s 2 a b x",
    "EVALSHA s 1 a x",
    "FCALL f 1 a",
    "BITOP AND d a b",
    "ZUNIONSTORE d 2 a b",
    "ZINTER 2 a b",
    "LMPOP 2 a b LEFT",
    "BLMPOP 1 2 a b LEFT",
    "XREAD COUNT 1 STREAMS a b 0 0",
    "XREADGROUP GROUP g c STREAMS a >",
    "XGROUP CREATE a g $",
    "XINFO STREAM a",
    "OBJECT ENCODING a",
    "MEMORY USAGE a",
    "SORT a STORE b",
    "GEORADIUS a 1 1 1 km STORE b",
    "COPY a b",
    "LMOVE a b LEFT LEFT",
    "PFCOUNT a b",
    "SINTERCARD 2 a b",
    "HSET a f v",
    "RENAME a b",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_keys_found_are_those_that_the_server_finds(redis_url: str, command: str) -> None:
    words = command.split()
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        keys: Any = client.execute_command("COMMAND GETKEYS", *words)
    assert list(key_finder(words[0])(words)) == keys


@pytest.mark.parametrize("command", ["PING", "SCRIPT LOAD x", "DBSIZE", "PUBLISH c m", "INFO", "KEYS *"])
def test_what_has_no_key_has_no_slot(command: str) -> None:
    words = command.split()
    assert slot_of(words[0], words, str.encode) is None
