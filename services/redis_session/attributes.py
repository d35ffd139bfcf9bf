"""RESP3 attributes, taken out of what a server sends before hiredis reads it: to hiredis they are replies like others.

An attribute (`|`, a map) may come before any reply or push, and before any value inside one. It answers nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hiredis import Reader

PIECE_BYTES = 16_384  # at most to the reader at once: it moves what is left of its buffer after each reply
_SIGN, _NEWLINE = b"|\n"
_INCOMPLETE = object()


class Attributes:
    """Those of one connection, whose replies `reader` reads."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._begun: list[Reader] = []  # reads an attribute that is not complete; the next one, an attribute inside it
        self._last = _NEWLINE  # the byte that was received last

    def left_out(self, received: bytearray, size: int) -> Iterable[tuple[int, int]]:
        """Where the pieces that are not attributes begin and end, within the first `size` bytes.

        Each piece has to be fed to the reader, and its replies taken, before the next one is asked for.
        """
        sign = 0 if self._begun else received.find(b"|", 0, size)
        if sign > 0:
            sign = received.find(b"\n|", 0, size)  # of two bytes it takes far longer
        if sign >= 0:
            return self._between(received, size)
        self._last = received[size - 1]
        return [(start, min(start + PIECE_BYTES, size)) for start in range(0, size, PIECE_BYTES)]

    def _between(self, received: bytearray, size: int) -> Iterator[tuple[int, int]]:
        at = self._skip(received, 0, size)
        while at < size:
            end = min(at + PIECE_BYTES, received.find(b"\n|", at, size) + 1 or size)
            yield at, end
            self._last = received[end - 1]
            at = self._skip(received, end, size)

    def _skip(self, received: bytearray, at: int, size: int) -> int:
        """The end of the attributes that begin or continue here. They are read by line: every value ends with one."""
        while at < size and (self._begins(received[at]) or self._begun):
            if self._begins(received[at]):
                self._begun.append(Reader(notEnoughData=_INCOMPLETE))
            end = received.find(b"\n", at, size) + 1 or size
            self._begun[-1].feed(bytes(received[at:end]))
            self._last, at = received[end - 1], end
            if self._begun[-1].gets() is not _INCOMPLETE:
                self._begun.pop()
        return at

    def _begins(self, byte: int) -> bool:
        """A `|` between two lines begins an attribute if the reader has used up all before it, else it is data."""
        if byte != _SIGN or self._last != _NEWLINE:
            return False
        return not (self._begun[-1] if self._begun else self._reader).has_data()
