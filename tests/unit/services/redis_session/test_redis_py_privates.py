"""What the session takes from redis-py and hiredis: no private name, and the shape of each public one it relies on."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import hiredis
import pytest
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection, DefaultParser, parse_url
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import ResponseError

from services.redis_session import MultiplexedRedis
from tests import ROOT

FOLDER = ROOT / "services" / "redis_session"
PRIVATE: set[str] = set()  # of redis-py and hiredis, each with its reason: none


def parameters(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters, without self."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


def private(name: str) -> bool:
    """Whether a part of a dotted name begins with one underscore."""
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def private_imports(tree: ast.AST) -> Iterator[str]:
    """Private names, and names of private modules, that a file imports from redis-py or hiredis."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("redis", "hiredis"):
            yield from (f"{node.module}.{name.name}" for name in node.names if private(f"{node.module}.{name.name}"))
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("redis") and private(name.name))


def own_names(trees: list[ast.AST]) -> set[str]:
    """Private attributes that the folder itself assigns or defines."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    assigned = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    return assigned | {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_session_uses_no_private_name_of_redis_py() -> None:
    trees: list[ast.AST] = [ast.parse(path.read_text()) for path in FOLDER.glob("*.py")]
    assert len(trees) > 10
    own = own_names(trees)
    used = {name for tree in trees for name in private_imports(tree)}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in own:
            used.add(node.attr)
    assert used == PRIVATE


def test_no_private_attribute_of_the_session_hides_one_of_redis_py() -> None:
    """A name that both define would be redis-py's private one after all."""
    theirs = {name for kind in (Redis, ConnectionPool, Pipeline, Connection) for name in vars(kind) if private(name)}
    theirs |= {name for kind in (Redis(), ConnectionPool(), Connection()) for name in vars(kind) if private(name)}
    for path in (FOLDER / "multiplexed_redis.py", FOLDER / "pipeline.py", FOLDER / "side_pool.py"):
        assert own_names([ast.parse(path.read_text())]) & theirs <= {"_"}, path.name


def test_without_hiredis_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['hiredis'] = None; import services.redis_session"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "ImportError: redis_session needs hiredis: pip install 'redis[hiredis]'" in done.stderr


def test_hiredis_packs_a_tuple_and_refuses_what_redis_py_refuses() -> None:
    pack: Any = hiredis.pack_command  # its stub knows only tuples of one
    assert pack(("GET", b"k", 1, 1.5)) == b"*4\r\n$3\r\nGET\r\n$1\r\nk\r\n$1\r\n1\r\n$3\r\n1.5\r\n"
    with pytest.raises(TypeError):
        pack(("SET", None))


def test_a_hiredis_reader_takes_part_of_any_buffer() -> None:
    reader = hiredis.Reader(notEnoughData=...)
    reader.feed(bytearray(b"+OK\r\nrubbish"), 0, 5)  # type: ignore[arg-type] # its stub knows no bytearray
    assert reader.gets() == b"OK"
    assert reader.gets() is ...


def test_a_hiredis_reader_consumes_a_reply_that_it_cannot_decode() -> None:
    reader = hiredis.Reader(encoding="utf-8", errors="strict", notEnoughData=...)
    reader.feed(b"$1\r\n\xff\r\n$1\r\n\xff\r\n+OK\r\n")
    with pytest.raises(UnicodeDecodeError):
        reader.gets()
    assert reader.gets(False) == b"\xff"
    assert reader.gets() == "OK"


def test_a_hiredis_reader_marks_push_messages() -> None:
    reader = hiredis.Reader(notEnoughData=...)
    reader.feed(b">1\r\n+hello\r\n")
    assert type(reader.gets()) is hiredis.PushNotification


def test_the_default_parser_makes_the_exceptions_of_error_replies() -> None:
    assert type(DefaultParser.parse_error("WRONGTYPE no")) is ResponseError  # type: ignore[no-untyped-call] # redis-py's


def test_a_connection_that_never_connects_says_where_to_and_as_whom() -> None:
    connection = Connection(host="somewhere", port=1, username="u", password="p", db=2, client_name="n", protocol=3)
    assert (connection.host, connection.port, connection.db) == ("somewhere", 1, 2)
    assert (connection.username, connection.password, connection.client_name) == ("u", "p", "n")
    assert (connection.protocol, connection.credential_provider, connection.socket_keepalive) == (3, None, True)
    assert connection.encoder.encoding_errors == "strict"
    assert UnixDomainSocketConnection(path="/a").path == "/a"
    assert SSLConnection(ssl_check_hostname=False, ssl_cert_reqs="none").ssl_context.get().check_hostname is False


def test_an_address_is_parsed_into_options() -> None:
    assert parse_url("rediss://u:p@h:1/2") == {
        "username": "u", "password": "p", "host": "h", "port": 1, "db": 2, "connection_class": SSLConnection,
    }  # fmt: skip


def test_connections_take_the_options_that_we_always_set() -> None:
    known = set(parameters(AbstractConnection.__init__)) | set(parameters(Connection.__init__))
    ours = "retry retry_on_error retry_on_timeout health_check_interval socket_connect_timeout socket_keepalive_options"
    assert set(ours.split()) <= known


def test_a_new_client_reads_no_metadata_of_redis_py_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(importlib.metadata, "version", lambda name: read.append(name) or "0")  # type: ignore[func-returns-value]
    client = MultiplexedRedis.from_url("redis://127.0.0.1:1/0", side_connections=1)
    client.connection_pool.make_connection()
    assert read == []


def test_a_pool_says_how_it_would_connect() -> None:
    pool = ConnectionPool(max_connections=1, host="somewhere")
    assert pool.connection_class is Connection
    assert pool.connection_kwargs["host"] == "somewhere"
    assert inspect.iscoroutinefunction(pool.get_connection)
    assert inspect.iscoroutinefunction(pool.release)


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
