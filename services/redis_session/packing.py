"""A command's bytes on the wire, as redis-py would write them."""

from __future__ import annotations

from typing import Any

from hiredis import pack_command

_PLAIN = frozenset([str, bytes, int, float])  # what hiredis packs as redis-py does, if the encoding is UTF-8


class Packer:
    """Packs by hiredis; `encoder` is redis-py's (`pool.get_encoder()`), for all that hiredis does not take itself."""

    def __init__(self, encoder: Any) -> None:
        self._encode = encoder.encode
        self._plain = _PLAIN if (encoder.encoding, encoder.encoding_errors) == ("utf-8", "strict") else frozenset()

    def pack(self, words: tuple[Any, ...]) -> bytes:
        """A command, split into words. Raises DataError for what is neither text, bytes nor a number."""
        if not self._plain.issuperset(map(type, words)):
            name = words[0].encode() if isinstance(words[0], str) else words[0]  # in no encoding but the protocol's
            words = (name, *[bytes(self._encode(word)) for word in words[1:]])  # bytes(): a view's owner may change it
        packed: bytes = pack_command(words)
        return packed
