"""Attributes are left out of a stream wherever they stand and however it is cut; all else stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from hiredis import Reader

from services.redis_session.attributes import PIECE_BYTES, Attributes

NONE = object()
ATTRIBUTE = b"|1\r\n+ttl\r\n:3600\r\n"
NESTED = b"|2\r\nA+popular\r\n*2\r\nA$4\r\na\r\n|\r\nA:2\r\n+k\r\n|0\r\n_\r\n".replace(b"A", ATTRIBUTE)


def read(*chunks: bytes) -> list[Any]:
    """What a reader makes of these reads."""
    reader = Reader(notEnoughData=NONE)
    attributes, replies = Attributes(reader), []
    for chunk in chunks:
        received = bytearray(chunk)
        for start, end in attributes.left_out(received, len(chunk)):
            reader.feed(bytes(received[start:end]))
            while (reply := reader.gets()) is not NONE:
                replies.append(reply)
    return replies


@pytest.mark.parametrize(
    ("sent", "replies"),
    [
        (ATTRIBUTE * 3 + b"+OK\r\n", [b"OK"]),
        (b"|0\r\n:1\r\n" + ATTRIBUTE + b":2\r\n", [1, 2]),
        (ATTRIBUTE + b">2\r\n+invalidate\r\n*1\r\n" + ATTRIBUTE + b"+k\r\n:1\r\n", [[b"invalidate", [b"k"]], 1]),
        (b"*3\r\n:1\r\n" + ATTRIBUTE + b":2\r\n" + NESTED + b":3\r\n:4\r\n", [[1, 2, 3], 4]),
        (b"%1\r\n" + ATTRIBUTE + b"+k\r\n" + ATTRIBUTE + b"+v\r\n" + NESTED + b"+OK\r\n", [{b"k": b"v"}, b"OK"]),
        (NESTED + b"*0\r\n" + ATTRIBUTE, [[]]),
        (b"$12\r\n|a\r\n|1\r\n|b\n|\r\n:1\r\n", [b"|a\r\n|1\r\n|b\n|", 1]),
        (b"+|\r\n*2\r\n+|a\r\n" + ATTRIBUTE + b"+||\r\n", [b"|", [b"|a", b"||"]]),
    ],
)
def test_replies_are_the_same_without_the_attributes_wherever_the_stream_is_cut(
    sent: bytes, replies: list[Any]
) -> None:
    assert read(sent) == replies
    assert read(*(sent[at : at + 1] for at in range(len(sent)))) == replies
    for first in range(1, len(sent)):
        for second in range(first + 1, len(sent)):
            assert read(sent[:first], sent[first:second], sent[second:]) == replies


def test_large_values_full_of_the_sign_stay_whole() -> None:
    value = b"\n|" * PIECE_BYTES
    sent = b"".join((ATTRIBUTE, b"$%d\r\n" % len(value), value, b"\r\n", ATTRIBUTE, b":1\r\n"))
    assert read(sent) == [value, 1]
    assert read(sent[:20_000], sent[20_000:]) == [value, 1]
