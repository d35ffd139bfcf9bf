"""Every name of redis-py and hiredis that is private or whose shape we rely on: an upgrade fails here first."""

import inspect
from collections.abc import Callable
from typing import Any

import hiredis
import pytest
from redis._parsers.base import BaseParser
from redis._parsers.hiredis import NOT_ENOUGH_DATA, _AsyncHiredisParser
from redis.asyncio import BlockingConnectionPool, Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import ResponseError
from redis.maint_notifications import MaintNotificationsConfig


def parameters(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters, without self."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


def test_hiredis_packs_a_tuple_and_refuses_what_redis_py_refuses() -> None:
    pack: Any = hiredis.pack_command  # its stub knows only tuples of one
    assert pack(("GET", b"k", 1, 1.5)) == b"*4\r\n$3\r\nGET\r\n$1\r\nk\r\n$1\r\n1\r\n$3\r\n1.5\r\n"
    with pytest.raises(TypeError):
        pack(("SET", None))


def test_a_hiredis_reader_takes_part_of_any_buffer() -> None:
    reader = hiredis.Reader(notEnoughData=NOT_ENOUGH_DATA)
    reader.feed(bytearray(b"+OK\r\nrubbish"), 0, 5)  # type: ignore[arg-type] # its stub knows no bytearray
    assert reader.gets() == b"OK"
    assert reader.gets() is NOT_ENOUGH_DATA


def test_a_hiredis_reader_consumes_a_reply_that_it_cannot_decode() -> None:
    reader = hiredis.Reader(encoding="utf-8", errors="strict", notEnoughData=NOT_ENOUGH_DATA)
    reader.feed(b"$1\r\n\xff\r\n$1\r\n\xff\r\n+OK\r\n")
    with pytest.raises(UnicodeDecodeError):
        reader.gets()
    assert reader.gets(False) == b"\xff"
    assert reader.gets() == "OK"


def test_a_hiredis_reader_marks_push_messages() -> None:
    reader = hiredis.Reader(notEnoughData=NOT_ENOUGH_DATA)
    reader.feed(b">1\r\n+hello\r\n")
    assert type(reader.gets()) is hiredis.PushNotification


async def test_the_parser_makes_its_reader_on_connect_and_its_errors_itself() -> None:
    connection = Connection()
    assert type(connection._parser) is _AsyncHiredisParser
    connection._parser.on_connect(connection)  # type: ignore[no-untyped-call] # redis-py's
    assert isinstance(connection._parser._reader, hiredis.Reader)
    assert isinstance(BaseParser.parse_error("WRONGTYPE no"), ResponseError)


async def test_a_connection_has_the_streams_the_packer_and_the_hook_we_use() -> None:
    connection = Connection(host="somewhere", port=1)
    assert (connection._reader, connection._writer, connection.redis_connect_func) == (None, None, None)
    assert connection.pack_command("GET", "k") == [b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"]
    assert connection._host_error() == "somewhere:1"
    assert parameters(connection.on_connect) == []
    assert inspect.iscoroutinefunction(connection.on_connect)
    assert connection.encoder.encoding_errors == "strict"


def test_the_connect_hook_is_called_with_the_connection_instead_of_on_connect() -> None:
    source = inspect.getsource(AbstractConnection.connect_check_health)
    assert "await self.redis_connect_func(self)" in source
    assert "asyncio.iscoroutinefunction(self.redis_connect_func)" in source


def test_connections_take_the_options_that_we_always_set() -> None:
    known = set(parameters(AbstractConnection.__init__)) | set(parameters(Connection.__init__))
    ours = "retry retry_on_error driver_info health_check_interval socket_connect_timeout socket_keepalive_options"
    assert set(ours.split()) <= known
    assert "maint_notifications_config" in parameters(ConnectionPool.__init__)
    assert MaintNotificationsConfig(enabled=False).enabled is False
    assert issubclass(SSLConnection, Connection)


async def test_a_pool_says_how_it_would_connect_and_a_blocking_one_times_out_with_a_cause() -> None:
    pool = BlockingConnectionPool(max_connections=1, timeout=1, host="somewhere")
    assert pool.connection_class is Connection
    assert pool.connection_kwargs["host"] == "somewhere"
    assert (pool.max_connections, pool.timeout) == (1, 1)
    assert 'raise ConnectionError("No connection available.") from err' in inspect.getsource(pool.get_connection)


def test_every_path_of_redis_py_to_a_connection_goes_through_the_pool() -> None:
    """`SidePool.get_connection` is the last line of defence: nothing may make connections past it."""
    module = inspect.getmodule(Redis)
    assert module is not None
    assert "make_connection(" not in inspect.getsource(module)


def test_a_client_has_the_parts_that_we_override_or_call() -> None:
    assert parameters(Redis.execute_command) == ["args", "options"]
    assert parameters(Redis.pipeline) == ["transaction", "shard_hint"]
    assert parameters(Redis.aclose) == ["close_connection_pool"]
    for name in ("initialize", "pubsub", "monitor", "client", "from_url"):
        assert callable(getattr(Redis, name))
    assert (NEVER_DECODE, EMPTY_RESPONSE) == ("NEVER_DECODE", "EMPTY_RESPONSE")


async def test_response_callbacks_are_looked_up_by_upper_case_names() -> None:
    client: Any = Redis()
    client.set_response_callback("get", lambda reply, **options: reply)
    assert client.response_callbacks.get("GET") is not None
    assert client.response_callbacks.get(b"GET") is None


def test_a_pipeline_has_the_parts_that_we_override_or_use() -> None:
    assert parameters(Pipeline.__init__) == ["connection_pool", "response_callbacks", "transaction", "shard_hint"]
    assert parameters(Pipeline.execute) == ["raise_on_error"]
    assert parameters(Pipeline.raise_first_error) == ["commands", "response"]
    source = inspect.getsource(Pipeline.__init__)
    for name in ("is_transaction", "explicit_transaction", "watching", "command_stack", "scripts"):
        assert f"self.{name}" in source
    for name in ("load_scripts", "reset", "immediate_execute_command"):
        assert inspect.iscoroutinefunction(getattr(Pipeline, name))
