"""Open a connection to Redis and say who we are: TCP, TLS or a Unix socket, then everything in one round trip.

How to connect is read off a connection of redis-py that itself never connects, by its public attributes.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from functools import partial
from typing import Any

from hiredis import Reader
from redis.asyncio.connection import AbstractConnection, Connection, DefaultParser, SSLConnection
from redis.asyncio.connection import UnixDomainSocketConnection as UnixConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoPermissionError, ResponseError

from .errors import RedisUnavailable
from .packing import Packer
from .reply_stream import NOT_ENOUGH_DATA, ReplyStream, StreamLimits

_WHO_ARE_YOU = ("HELLO", 2)  # a Redis before 6 does not know it, and need not


async def open_stream(how: AbstractConnection, limits: StreamLimits, tls_name: str | None) -> tuple[ReplyStream, str]:
    """An open connection that has been greeted, and the server's mode, e.g. "cluster" ("" if unknown).

    If it fails or is cancelled, nothing is left open. `tls_name`: whom the certificate names, if not the host.

    Raises redis-py's errors: ConnectionError (out of reach, full, too old), AuthenticationError, ResponseError.
    """
    greeting, encoder = await _greeting(how), how.encoder
    strictly = encoder.encoding if encoder.decode_responses and encoder.encoding_errors == "strict" else None
    stream = await _connected(how, partial(ReplyStream, _reader(encoder, strictly), limits, strictly), tls_name)
    try:
        mode = await _greet(stream, greeting, Packer(encoder))
    except BaseException as error:
        stream.close("the greeting failed")
        if isinstance(error, RedisUnavailable):
            raise RedisConnectionError(str(error)) from error
        raise
    return stream, mode


def place(how: AbstractConnection) -> str:
    """Where it connects to, for people."""
    return how.path if isinstance(how, UnixConnection) else f"{how.host}:{how.port}"  # type: ignore[attr-defined] # TCP's


def client_name(name: str) -> str:
    """The name in CLIENT LIST, with the process id: SETNAME takes no spaces and nothing but printable ASCII."""
    return re.sub(r"[^!-~]", "-", "-".join(part for part in (name, str(os.getpid())) if part))


def _reader(encoder: Any, strictly: str | None) -> Reader:
    errors = "surrogateescape" if strictly else encoder.encoding_errors
    decoding = {"encoding": encoder.encoding, "errors": errors} if encoder.decode_responses else {}
    return Reader(protocolError=InvalidResponse, replyError=_reply_error, notEnoughData=NOT_ENOUGH_DATA, **decoding)


def _reply_error(text: str) -> Exception:
    """redis-py's exception of an error reply, plus its code on every version; its parser chokes on a script's MOVED."""
    try:
        error: Any = DefaultParser.parse_error(text)  # type: ignore[no-untyped-call] # redis-py's
    except (ValueError, IndexError):
        error = ResponseError(text)
    error.status_code = text.split(" ", 1)[0]
    return error  # type: ignore[no-any-return]


async def _connected(how: AbstractConnection, new_stream: partial[ReplyStream], tls_name: str | None) -> ReplyStream:
    loop = asyncio.get_running_loop()
    try:
        if isinstance(how, UnixConnection):
            _, stream = await loop.create_unix_connection(new_stream, how.path)
            return stream
        assert isinstance(how, Connection)  # noqa: S101 - redis-py has no other kind
        tls: dict[str, Any] = {}
        if isinstance(how, SSLConnection):
            tls = {"ssl": how.ssl_context.get(), "server_hostname": tls_name}
        transport, stream = await loop.create_connection(new_stream, how.host, how.port, **tls)
        if how.socket_keepalive:
            _keep_alive(transport.get_extra_info("socket"), how.socket_keepalive_options)
    except (OSError, UnicodeError) as error:  # the latter: a host that can't be a name
        raise RedisConnectionError(f"cannot reach {place(how)}: {error}") from error
    return stream


def _keep_alive(sock: socket.socket, options: Any) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        sock.setsockopt(socket.IPPROTO_TCP, name, value)


async def _greeting(how: AbstractConnection) -> list[tuple[Any, ...]]:
    """The commands that make a new connection ours: HELLO, or what it replaces under RESP2, and SELECT."""
    who: tuple[str, ...] = tuple(word for word in (how.username, how.password) if word)
    if how.credential_provider is not None:
        who = await how.credential_provider.get_credentials_async()
    commands: list[tuple[Any, ...]] = []
    if int(how.protocol) == 3:  # redis-py before 7.2 leaves it as the address has it
        auth = ("AUTH", *("default", *who)[-2:]) if who else ()
        commands.append(("HELLO", 3, *auth, *(("SETNAME", how.client_name) if how.client_name else ())))
    else:
        commands += [("AUTH", *who)] if who else []
        commands += [("CLIENT", "SETNAME", how.client_name)] if how.client_name else []
        commands.append(_WHO_ARE_YOU)
    return commands + ([("SELECT", how.db)] if how.db else [])


async def _greet(stream: ReplyStream, greeting: list[tuple[Any, ...]], packer: Packer) -> str:
    calls = stream.send_batch([(packer.pack(command), False) for command in greeting])
    mode: Any = ""
    for command, reply in zip(greeting, await asyncio.gather(*calls, return_exceptions=True), strict=True):
        unknown = isinstance(reply, ResponseError) and ("unknown command" in str(reply) or "NOPROTO" in str(reply))
        if command is _WHO_ARE_YOU and (unknown or isinstance(reply, NoPermissionError)):
            continue
        if unknown:
            raise RedisConnectionError(  # its own text quotes HELLO's arguments
                "the server does not know HELLO 3: Redis 6 or newer is needed, or protocol=2"
            )
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, list):
            reply = dict(zip(reply[::2], reply[1::2], strict=False))
        if isinstance(reply, dict):
            mode = reply.get(b"mode") or reply.get("mode", "")
    return mode.decode() if isinstance(mode, bytes) else str(mode)
