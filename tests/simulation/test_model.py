"""The model Redis against a real server: random commands, in every state, one connection, reply by reply."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from hiredis import Reader, pack_command
from redis.crc import key_slot

from lab.azure.redis_cluster import RedisCluster
from lab.azure.redis_server import HOST, RedisServer
from tests.simulation import redis_model
from tests.simulation.cluster_model import PORTS, ClusterModel, block_of
from tests.simulation.loop import World
from tests.simulation.redis_model import RedisModel
from tests.simulation.redis_scripts import scripts
from tests.waiting import wait_until

PASSWORD = "made-up"
PROGRAMS, LENGTH = 40, 40
STATES = ("", "", "oom", "noreplicas", "readonly", "misconf", "noperm", "busy")
SCRIPTS = (
    b"return redis.call('INCR', KEYS[1])",
    b"redis.call('HSET', KEYS[2], 'f', ARGV[1]) return redis.call('HGET', KEYS[2], 'f')",
    b"redis.call('INCR', KEYS[1]) return redis.error_reply('BUSY slot taken')",
    b"return redis.call('HMGET', KEYS[2], 'f', 'nope')",
    b"return {1, 'two', false, {3}, redis.status_reply('FINE')}",
    b"return redis.call('PEXPIREAT', KEYS[2], '1999999999999')",
)
Command = list[bytes]
packed: Any = pack_command  # its types know of one word only


class Wire:
    """What the model answers to its one client."""

    who, gone, protocol, asked_at = "client", False, None, 0.0

    def __init__(self, model: RedisModel, port: int = PORTS[0]) -> None:
        self.model, self.port, self.out = model, port, b""
        self.said: list[Any] = []
        model.connected(self)  # type: ignore[arg-type]

    def reply(self, data: bytes) -> None:
        self.out += data

    def ask(self, command: Command) -> bytes:
        """Its reply, also to what waits for a moment."""
        self.out, world = b"", self.model.world
        self.model.received(self, packed(tuple(command)))  # type: ignore[arg-type]
        world.run(world.now + 0.02)
        return self.out

    @property
    def client(self) -> Any:
        return self.model.clients[self]  # type: ignore[index]

    @property
    def in_transaction(self) -> bool:
        return self.client.queued is not None


class Real:
    """A socket to a real server, and an admin who brings it into the states of the model."""

    def __init__(self, server: RedisServer, password: str | None = None) -> None:
        self.port, self.state = server.port, ""
        self.admin: Any = redis.Redis(port=server.port, password=password, socket_timeout=30)
        self.socket = socket.create_connection((HOST, self.port), timeout=30)
        self._runaway: threading.Thread

    def ask(self, command: Command) -> bytes:
        self.socket.sendall(packed(tuple(command)))
        reader, raw = Reader(), b""
        while reader.gets() is False:
            data = self.socket.recv(65_536)
            assert data, f"the server has closed the connection after {command}"
            raw += data
            reader.feed(data)
        return raw

    def close(self) -> None:
        self.enter("")
        self.socket.close()
        self.admin.close()

    # --- the states ---------------------------------------------------------------------------------------------------
    def enter(self, state: str) -> None:
        """Leave the state before, and be in this one when it returns."""
        if self.state:
            getattr(self, f"_leave_{self.state}")()
        self.state = state
        if state:
            getattr(self, f"_enter_{state}")()

    def _enter_oom(self) -> None:
        self.admin.config_set("maxmemory", 1)

    def _leave_oom(self) -> None:
        self.admin.config_set("maxmemory", 0)

    def _enter_noreplicas(self) -> None:
        self.admin.config_set("min-replicas-to-write", 1)

    def _leave_noreplicas(self) -> None:
        self.admin.config_set("min-replicas-to-write", 0)

    def _enter_readonly(self) -> None:
        self.admin.replicaof(HOST, 1)

    def _leave_readonly(self) -> None:
        self.admin.replicaof("NO", "ONE")

    def _enter_noperm(self) -> None:
        self.admin.execute_command("ACL", "SETUSER", "default", "-incrby", "-eval", "-evalsha")

    def _leave_noperm(self) -> None:
        self.admin.execute_command("ACL", "SETUSER", "default", "+@all")

    def _enter_misconf(self) -> None:
        self._dump().unlink(missing_ok=True)
        self._dump().mkdir()  # nothing can be saved there
        self._save("err")

    def _leave_misconf(self) -> None:
        self._dump().rmdir()
        self._save("ok")

    def _dump(self) -> Path:
        found: Any = self.admin.config_get("dir")
        return Path(found["dir"], "dump.rdb")

    def _save(self, outcome: str) -> None:
        self.admin.bgsave()
        wait_until(lambda: self.admin.info("persistence")["rdb_last_bgsave_status"] == outcome)

    def _enter_busy(self) -> None:
        def run() -> None:
            with redis.Redis(port=self.port, password=PASSWORD) as another, contextlib.suppress(redis.ResponseError):
                another.eval("while true do end", 0)

        self._runaway = threading.Thread(target=run)
        self._runaway.start()
        wait_until(self._refuses)

    def _leave_busy(self) -> None:
        self.admin.script_kill()
        self._runaway.join()

    def _refuses(self) -> bool:
        try:
            return not self.admin.ping()
        except redis.RedisError:
            return True


def program(chance: random.Random) -> Iterator[tuple[str, Command]]:
    """A state to enter and a command to send then, again and again."""
    state, pick = "", chance.choice
    makers: list[Callable[[], Command]] = [
        lambda: [b"PING"],
        lambda: [b"ECHO", pick((b"", b"x", b"\xff"))],
        lambda: [b"INCR", b"n"],
        lambda: [b"INCRBY", b"n", b"%d" % chance.randrange(-5, 5)],
        lambda: [b"HSET", b"h", b"f", b"%d" % chance.randrange(3), b"g", b"v"],
        lambda: [b"HGET", pick((b"h", b"none")), pick((b"f", b"zz"))],
        lambda: [b"HMGET", b"h", b"f", b"zz"],
        lambda: [b"HDEL", pick((b"h", b"none")), pick((b"f", b"g", b"zz"))],
        lambda: [b"HINCRBY", b"h2", b"c", b"2"],
        lambda: [b"PEXPIREAT", pick((b"h", b"h2", b"none")), b"1999999999999"],
        lambda: [b"BLPOP", b"nothing", b"0.01"],
        lambda: [b"EVAL", pick(SCRIPTS), b"2", b"n", b"h", b"argument"],
        lambda: [b"EVALSHA", hashlib.sha1(pick(SCRIPTS)).hexdigest().encode(), b"2", b"n", b"h", b"argument"],  # noqa: S324
        lambda: [b"HELLO", pick((b"2", b"3"))],
        lambda: [b"HELLO", b"3", b"AUTH", b"default", pick((PASSWORD.encode(), b"wrong"))],
        lambda: [b"AUTH", pick((PASSWORD.encode(), b"wrong"))],
        lambda: [b"CLIENT", b"ID"],
        lambda: [b"NOPE", b"x"],
        *[lambda: [b"MULTI"], lambda: [b"EXEC"]] * 3,
    ]
    for _ in range(LENGTH):
        state = pick(STATES) if chance.random() < 0.15 else state
        yield state, pick(makers)()


def comparable(command: Command, reply: bytes) -> bytes:
    """Of an error its code, as texts differ between versions (Redis 6 hides a script's); no server's own numbers."""
    if command[:2] == [b"CLIENT", b"ID"] or (command[0] == b"HELLO" and reply[:1] != b"-"):
        return reply[:1]
    reply = re.sub(rb"-ERR Error running script [^\r]*: -", b"-", reply)
    reply = re.sub(rb"-(?!MOVED|ASK)([A-Z]+)[^\r]*", rb"-\1", reply)
    return reply.replace(b"*-1\r\n", b"$-1\r\n")  # two ways to say nothing


REDIS_SERVER = shutil.which("redis-server")
BINARIES = {"valkey": None} | ({"redis": Path(REDIS_SERVER)} if REDIS_SERVER else {})


@pytest.mark.parametrize("kind", BINARIES)
def test_the_model_answers_as_the_server_does(kind: str) -> None:
    options = {"requirepass": PASSWORD, "busy-reply-threshold": "5", "save": "3600 1000000"}
    with RedisServer(binary=BINARIES[kind], appendonly=False, options=options) as server:
        for seed in range(PROGRAMS):
            with contextlib.closing(Real(server, PASSWORD)) as real:
                run_on_both(real, kind, seed)


def run_on_both(real: Real, kind: str, seed: int) -> None:
    real.admin.flushall()
    real.admin.script_flush()
    model = RedisModel(World(str(seed)), str(seed), PASSWORD)
    model.is_valkey = kind == "valkey"
    ours = Wire(model)
    for state, command in program(random.Random(seed)):
        if ours.in_transaction and command[0] in (b"MULTI", b"HELLO", b"AUTH", b"CLIENT"):
            continue  # nobody does that
        if not ours.client.proven and command[0] == b"NOPE":
            continue
        if state != real.state:
            real.enter(state)
            model.state = state
        compare(real, ours, command)


def compare(real: Real, ours: Wire, command: Command, ports: dict[int, int] | None = None) -> bytes:
    """What both answer. `ports`: of a cluster's nodes, and what the model has in their place."""
    theirs, answer = real.ask(command), ours.ask(command)
    for port, place in (ports or {}).items():
        theirs = theirs.replace(b"127.0.0.1:%d" % port, b"10.0.0.1:%d" % place)
    ours.said.append((real.state, command, theirs, answer))
    assert comparable(command, answer) == comparable(command, theirs), ours.said[-10:]
    return answer


def tag_in(block: int, seed: int) -> str:
    """A hash tag of this seed whose slot lies in that block."""
    return next(tag for tag in map(f"{seed}.{{}}".format, range(1000)) if block_of(key_slot(tag.encode())) == block)


def cluster_command(chance: random.Random, keys: list[bytes]) -> Command:
    pick = chance.choice
    makers: list[Callable[[], Command]] = [
        lambda: [b"INCR", pick(keys)],
        lambda: [b"HGET", pick(keys) + b"h", b"f"],
        lambda: [b"EVAL", SCRIPTS[0], b"1", pick(keys)],
        lambda: [b"EVAL", SCRIPTS[0], b"2", *chance.choices(keys[:3], k=2)],
        lambda: [b"PING"],
        *[lambda: [b"MULTI"], lambda: [b"EXEC"]] * 2,
    ]
    return pick(makers)()


@pytest.mark.parametrize("kind", BINARIES)
def test_the_nodes_of_the_model_answer_as_those_of_a_cluster_do_while_a_slot_moves(kind: str) -> None:
    with RedisCluster(len(PORTS), binary=BINARIES[kind]) as cluster:
        for seed in range(PROGRAMS // 2):
            with contextlib.ExitStack() as stack:
                real = [stack.enter_context(contextlib.closing(Real(node))) for node in cluster.nodes]
                move_a_slot_of_both(cluster, real, kind, seed)


def move_a_slot_of_both(cluster: RedisCluster, nodes: list[Real], kind: str, seed: int) -> None:
    chance, model = random.Random(seed), ClusterModel(World(str(seed)), str(seed), "")
    model.is_valkey = kind == "valkey"
    model.network = SimpleNamespace(dead=set(), more=0)  # type: ignore[assignment]
    pairs = [(node, Wire(model, port)) for node, port in zip(nodes, PORTS, strict=True)]
    for _, ours in pairs:
        ours.client.proven = True
    ports, tag = {real.port: ours.port for real, ours in pairs}, tag_in(0, seed)
    keys = [f"{{{tag}}}{name}".encode() for name in "abc"] + [f"{{{tag_in(4, seed)}}}".encode()]
    slot, (source, target, _) = key_slot(tag.encode()), cluster.nodes
    for phase in ("before", "open", "moved"):
        if phase == "open":
            cluster.open_slot(slot, source, target)
            model.begin_move(0, 1)
            model.carried = {key for key in keys[:3] if key in model.data and chance.random() < 0.5}
            if model.carried:
                pairs[0][0].admin.execute_command("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *model.carried)
        elif phase == "moved":
            cluster.move_keys(slot, source, target)
            cluster.close_slot(slot, target)
            model.end_move(0)
            model.world.run(model.world.now + 3)  # until every node has heard of it
        for _ in range(LENGTH):
            (real, ours), command = chance.choice(pairs), cluster_command(chance, keys)
            if ours.in_transaction and command[0] == b"MULTI":
                continue
            answer = compare(real, ours, command, ports)
            if answer.startswith(b"-ASK") and not (ours.in_transaction or pairs[1][1].in_transaction):
                compare(*pairs[1], [b"ASKING"], ports)
                compare(*pairs[1], command, ports)


def test_the_model_knows_the_flags_of_its_commands(redis_url: str) -> None:
    """Loading cannot be brought about at will; what a server does then follows from these."""
    expected = {
        "write": redis_model.WRITES,
        "denyoom": redis_model.DENY_OOM,
        "loading": redis_model.WHILE_LOADING,
        "allow_busy": redis_model.WHILE_BUSY,
        "no_auth": redis_model.NO_AUTH,
    }
    known = ClusterModel(World("1"), "1", PASSWORD)._commands
    with redis.Redis.from_url(redis_url) as real:
        for name in known:
            full = {b"CLIENT": "client|id", b"CLUSTER": "cluster|slots"}.get(name, name.decode().lower())
            [told] = real.execute_command("COMMAND", "INFO", full).values()
            assert {flag for flag, names in expected.items() if name in names} == expected.keys() & told["flags"], name


def some_value(chance: random.Random, depth: int = 3) -> Any:
    """A JSON value as cjson can keep it: no empty array, numbers of 14 digits."""
    kind = chance.randrange(6 if depth else 4)
    if kind == 0:
        return chance.choice((True, False, None))
    if kind == 1:
        return chance.choice((0, -1, 1_900_000_000_000, 0.5, 1e100, chance.randrange(10**13)))
    if kind in (2, 3):
        return "".join(chance.choice('aé"\\/\n\t\x01\x7f 漢') for _ in range(chance.randrange(8)))
    if kind == 4:
        return [some_value(chance, depth - 1) for _ in range(chance.randrange(1, 4))]
    return {f"k{n}": some_value(chance, depth - 1) for n in range(chance.randrange(4))}


def test_our_cjson_says_what_the_real_servers_says(redis_url: str) -> None:
    script = "return {cjson.encode(cjson.decode(ARGV[1])), tostring(type(cjson.decode(ARGV[1])))}"
    chance = random.Random(1)
    with redis.Redis.from_url(redis_url) as real:
        for _ in range(300):
            text = json.dumps([some_value(chance)], ensure_ascii=chance.random() < 0.5).encode()
            ours = scripts().run(script.encode(), [], [text], lambda words: None)
            theirs: Any = real.eval(script, 0, text)
            assert json.loads(ours[0]) == json.loads(theirs[0]), text
            assert ours[1] == theirs[1]
            if b"{" not in text:  # the order of an object's names is the server's own
                assert ours[0] == theirs[0]
