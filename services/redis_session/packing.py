"""A command's bytes on the wire, as redis-py would write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hiredis import pack_command

_pack: Callable[[tuple[Any, ...]], bytes] = pack_command


class Packer:
    """Packs by hiredis; `encoder` is redis-py's (`pool.get_encoder()`), for all that hiredis does not take itself."""

    def __init__(self, encoder: Any) -> None:
        self._encode = encoder.encode
        self._as_hiredis = (encoder.encoding, encoder.encoding_errors) == ("utf-8", "strict")

    def pack(self, words: tuple[Any, ...]) -> bytes:
        """A command, split into words. Raises DataError for what is neither text, bytes nor a number."""
        if self._as_hiredis:
            try:
                return _pack(words)
            except (
                TypeError,
                BufferError,
            ):  # a bool, a bytearray, an int of a kind of its own: redis-py's encoder decides
                pass
        name = words[0].encode() if isinstance(words[0], str) else words[0]  # in no encoding but the protocol's
        words = (name, *[bytes(self._encode(word)) for word in words[1:]])  # bytes(): hiredis takes no bytearray
        return _pack(words)
