"""What the session takes from redis-py and hiredis: no private name, and nothing past its own pool of connections.

That the public ones do what is relied on shows in the conformance tests, with the oldest and the newest version too.
"""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import subprocess
import sys
from collections.abc import Iterator

import hiredis
import pytest
from redis.asyncio import Connection, ConnectionPool, Redis
from redis.asyncio.client import Pipeline

from services.redis_session import MultiplexedRedis
from tests import ROOT

FOLDER = ROOT / "services" / "redis_session"
PRIVATE: set[str] = set()  # of redis-py and hiredis, each with its reason: none


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


def test_a_hiredis_reader_marks_push_messages() -> None:
    reader = hiredis.Reader(notEnoughData=...)
    reader.feed(b">1\r\n+hello\r\n")
    assert type(reader.gets()) is hiredis.PushNotification


def test_a_new_client_reads_no_metadata_of_redis_py_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(importlib.metadata, "version", lambda name: read.append(name) or "0")  # type: ignore[func-returns-value]
    client = MultiplexedRedis.from_url("redis://127.0.0.1:1/0", side_connections=1)
    client.connection_pool.make_connection()
    assert read == []


def test_every_path_of_redis_py_to_a_connection_goes_through_the_pool() -> None:
    """`SidePool.get_connection` is the last line of defence: nothing may make connections past it."""
    module = inspect.getmodule(Redis)
    assert module is not None
    assert "make_connection(" not in inspect.getsource(module)
