"""What a command looks like on the wire, compared with redis-py's own packer."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Connection
from redis.exceptions import DataError

from services.redis_session.packing import Packer


def theirs(words: tuple[Any, ...], **encoding: Any) -> bytes:
    """By redis-py."""
    connection: Any = Connection(**encoding)
    return b"".join(map(bytes, connection.pack_command(*words)))


@pytest.mark.parametrize(
    "encoding", [{}, {"encoding": "utf-16"}, {"encoding": "latin-1"}, {"encoding_errors": "ignore"}]
)
@pytest.mark.parametrize(
    "words",
    [
        ("GET", "k"),
        ("SET", "k\u00e4", b"\xff", 1, 1.5),
        (b"SET", bytearray(b"k"), memoryview(b"v")),
        ("SET", "k", "x" * 300_000),
    ],
)
def test_a_command_is_packed_as_redis_py_packs_it(words: tuple[Any, ...], encoding: dict[str, Any]) -> None:
    assert Packer(Connection(**encoding).encoder).pack(words) == theirs(words, **encoding)


@pytest.mark.parametrize("value", [None, True, object()])
def test_an_invalid_value_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        Packer(Connection().encoder).pack(("SET", "k", value))
