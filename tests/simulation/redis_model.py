"""A model of one Redis: real RESP bytes in and out, real Lua, and everything a server can say about itself.

It knows what ran (`ran`), what was acknowledged and then lost on purpose (`lost`), and never anything of the app.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any

from hiredis import Reader

from tests.simulation.loop import World
from tests.simulation.network import Link, Network
from tests.simulation.redis_scripts import scripts

EPOCH_S = 1_900_000_000  # of the virtual clock's zero, on Redis's own
RENEWAL_S = 60.0  # as long as nothing is wrong, a token is renewed
KEPT_S = 3.0  # how far back writes can be lost
TOKEN = b"tok:"  # a first argument that begins so is counted in `ran`
# Flags of commands, as COMMAND INFO tells them (test_model.py).
WRITES = frozenset(b"INCR INCRBY HSET HDEL HINCRBY PEXPIREAT BLPOP".split())
DENY_OOM = frozenset(b"INCR INCRBY HSET HINCRBY".split())
WHILE_LOADING = frozenset(b"HELLO AUTH CLIENT ECHO TIME MULTI EXEC CLUSTER".split())
WHILE_BUSY = frozenset(b"HELLO AUTH CLIENT MULTI".split())
NO_AUTH = frozenset(b"HELLO AUTH".split())
STATES = {
    "loading": "LOADING Redis is loading the dataset in memory",
    "busy": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "readonly": "READONLY You can't write against a read only replica.",
    "oom": "OOM command not allowed when used memory > 'maxmemory'.",
    "misconf": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
    "Commands that may modify the data set are disabled, because this instance is configured to report errors during "
    "writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details "
    "about the RDB error.",
    "noreplicas": "NOREPLICAS Not enough good replicas to write.",
    "noperm": "NOPERM this user has no permissions to run the '{}' command",
}
_FOR_GOOD = ("OOM", "MISCONF", "NOPERM")
_REFUSED_IN = {"oom": DENY_OOM, "misconf": WRITES | {b"PING"}, "noreplicas": WRITES, "readonly": WRITES}
_REFUSED_IN["noperm"] = frozenset(b"EVALSHA EVAL INCRBY".split())


class Refusal(Exception):
    """An error reply."""


class _Client:
    """What the server keeps of one connection."""

    def __init__(self, link: Link, number: int) -> None:
        self.link, self.number = link, number
        self.reader = Reader()
        self.proven = self.resp3 = self.blocked = self.spoilt = False
        self.of_replica = False  # left behind by a failover
        self.queued: list[list[bytes]] | None = None
        self.waiting: deque[list[bytes]] = deque()
        self.last_at = 0.0
        self.until = float("inf")  # when its token runs out


class RedisModel:
    """One address behind which one server answers, or its replica after a failover."""

    def __init__(self, world: World, seed: str, password: str) -> None:
        self.world, self.random = world, random.Random(f"{seed}/redis")
        self.password, self.state, self.max_clients = password, "", 10_000
        self.is_valkey = random.Random(f"{seed}/server").random() < 0.5  # or else Redis 7.0: test_model.py
        self.network: Network
        self.clients: dict[Link, _Client] = {}
        self.peak_clients = self.commands = self.refused_clients = 0
        self.ran: Counter[bytes] = Counter()
        self.refused: dict[bytes, float] = {}  # token -> when it was refused last
        self.denied: Counter[bytes] = Counter()  # likewise -> how often for what does not pass by itself
        self.lost: set[bytes] = set()  # hash fields whose newest acknowledged value is gone
        self.losses = 0
        self.revoked = 0.0  # tokens that run out by then are taken no more
        self.calm_since = 0.0
        self._expiries: dict[bytes, float] = {}
        self.on_write: Callable[[bytes, bytes, bytes | None, bytes | None], None] = lambda *_: None
        self.on_script: Callable[[bytes, list[bytes], list[bytes]], Callable[[Any], None]] = lambda *_: lambda _: None
        self.data: dict[bytes, Any] = {}
        self._undo: deque[tuple[float, bytes, bytes | None, Any]] = deque()
        self._scripts: dict[bytes, bytes] = {}
        self._numbers = 0
        self._commands = self._table()

    # --- connections --------------------------------------------------------------------------------------------------
    def connected(self, link: Link) -> None:
        if len(self.clients) >= self.max_clients:
            self.refused_clients += 1
            link.reply(b"-ERR max number of clients reached\r\n")
            link.drop()
            return
        self._numbers += 1
        client = self.clients[link] = _Client(link, self._numbers)
        client.last_at = self.world.now
        self.peak_clients = max(self.peak_clients, len(self.clients))

    def closed(self, link: Link) -> None:
        self.clients.pop(link, None)

    def received(self, link: Link, data: bytes) -> None:
        client = self.clients.get(link)
        if client is None:
            return
        client.last_at = self.world.now
        client.reader.feed(data)
        while (command := client.reader.gets()) is not False:
            client.waiting.append(command)
        self._serve(client)

    def _serve(self, client: _Client) -> None:
        out = []
        while client.waiting and not client.blocked and not client.link.gone:
            reply = self._reply(client, client.waiting.popleft())
            if reply is not None:
                out.append(reply)
        if out:
            client.link.reply(b"".join(out))

    def _reply(self, client: _Client, command: list[bytes]) -> bytes | None:
        """The reply as bytes, None while the client is blocked."""
        self.commands += 1
        name = command[0].upper()
        try:
            self._admit(client, name, command)
            if client.queued is not None and name != b"EXEC":
                client.queued += [command] * (not client.spoilt)
                return b"+QUEUED\r\n"
            value = self.execute(client, command)
        except Refusal as refused:
            value = self._spoil(client, name, refused)
            if command[1:] and command[1].startswith(TOKEN):
                self.refused[command[1]] = self.world.now
                self.denied[command[1]] += str(refused).startswith(_FOR_GOOD)
        return None if client.blocked else encode(value, client.resp3)

    def _admit(self, client: _Client, name: bytes, command: list[bytes]) -> None:
        if name in NO_AUTH:
            return
        if not client.proven:
            raise Refusal("NOAUTH Authentication required.")
        if name not in self._commands:
            raise Refusal(f"ERR unknown command '{command[0].decode(errors='replace')}'")
        self._route(client, name, command)
        self._check_state(client, name)
        if self.state == "oom" and client.queued is not None and name != b"EXEC" and not self.is_valkey:
            raise Refusal(STATES["oom"])
        if name == b"EXEC" and self.state != "noperm":  # rights are looked at as each is run
            for words in client.queued or ():
                if words[0].upper() in WRITES:
                    self._check_state(client, words[0].upper())
        if self.state == "loading" and name not in WHILE_LOADING:
            raise Refusal(STATES["loading"])
        if self.state == "busy" and (name not in WHILE_BUSY or (name == b"CLIENT" and not self.is_valkey)):
            raise Refusal(STATES["busy"])

    def _route(self, client: _Client, name: bytes, command: list[bytes]) -> None:
        """A node of a cluster says here that a key is elsewhere."""

    def _check_state(self, client: _Client, name: bytes) -> None:
        """Refuse what the state does not permit, a script's call too."""
        if client.of_replica and name in WRITES:
            raise Refusal(STATES["readonly"])
        if name in _REFUSED_IN.get(self.state, ()):
            raise Refusal(STATES[self.state].format(name.decode().lower()))

    @staticmethod
    def _spoil(client: _Client, name: bytes, refused: Refusal) -> Refusal:
        """What is refused inside a transaction aborts all of it, as Redis 7 says it."""
        if name != b"EXEC":
            client.spoilt |= client.queued is not None
            return refused
        client.queued, client.spoilt = None, False
        final = str(refused).startswith(("EXECABORT", "ERR EXEC", "MOVED", "ASK", "TRYAGAIN"))
        return refused if final else Refusal(f"EXECABORT Transaction discarded because of: {refused}")

    def execute(self, client: _Client, words: list[bytes]) -> Any:
        """Run one command, a client's or a script's; returns its reply as a Python value."""
        name = words[0].upper()
        if name in WRITES or self.state == "noperm":
            self._check_state(client, name)
        if len(words) > 1 and words[1].startswith(TOKEN):
            self.ran[words[1].partition(b" ")[0]] += 1
        return self._commands[name](client, words)

    # --- what operators and the weather do ----------------------------------------------------------------------------
    def restart(self, down_s: float, loading_s: float, lost_s: float, wiped: bool = False) -> None:
        """The process ends; after `down_s` another one loads what was saved up to `lost_s` before the end."""
        self.network.reset_all()
        self.network.refusing = True
        self._lose(lost_s, wiped)
        self._scripts.clear()
        self.world.later(down_s, self._up, loading_s)

    def _up(self, loading_s: float) -> None:
        self.network.refusing, self.state = False, "loading"
        self.world.later(loading_s, self.enter, "")

    def enter(self, state: str) -> None:
        """From now on the server is in that state, "" being its best."""
        self.world.note("redis", f"state {state or 'good'}")
        self.state = state

    def fail_over(self, lost_s: float, cut: bool, read_only_s: float, stays: bool) -> None:
        """A replica takes over that lacks the last writes. Who stays connected talks to a replica for so long; if that
        `stays`, for ever."""
        self._lose(lost_s)
        self._scripts.clear()
        if cut:
            self.network.reset_all()
        else:
            self.enter("readonly")
            self.world.later(read_only_s, self._leave_behind if stays else self.network.reset_all)
            self.world.later(read_only_s, self.enter, "")

    def _leave_behind(self) -> None:
        for client in self.clients.values():
            client.of_replica = True

    def left_behind(self, who: str) -> bool:
        """Whether the shared connection of a process still leads to the replica."""
        left = (client.link for client in self.clients.values() if client.of_replica)
        return any(link.who == who and isinstance(link.protocol, asyncio.BufferedProtocol) for link in left)

    def _lose(self, lost_s: float, everything: bool = False, of: Callable[[bytes], bool] = lambda _: True) -> None:
        """What was written since, to the keys `of` which that is true; or everything."""
        before, written = self.world.now - lost_s, list(self._undo)
        self._undo.clear()
        undone = [one for one in written if one[0] > before and of(one[1])]
        self._undo.extend(one for one in written if not (one[0] > before and of(one[1])))
        self.losses += everything or bool(undone)
        for _, key, field, old in reversed(undone):
            if field is None:
                self.data[key] = old
            else:
                self.lost.add(field)
                _put(self.data.setdefault(key, {}), field, old)
            if self.data[key] in (None, {}):
                self._delete(key)
        if everything:
            for value in self.data.values():
                self.lost.update(value if isinstance(value, dict) else ())
            self.data.clear()
            self._expiries.clear()
            self._undo.clear()
        self.world.note("redis", f"lost {'everything' if everything else f'{lost_s:.3f} s'}")

    def push(self, payload: bytes) -> None:
        """Send an out-of-band push to everybody who speaks RESP3."""
        for client in list(self.clients.values()):
            if client.resp3 and client.proven:
                client.link.reply(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$%d\r\n%s\r\n" % (len(payload), payload))

    def close_idle(self, idle_s: float) -> None:
        """As `timeout` in redis.conf."""
        for client in list(self.clients.values()):
            if self.world.now - client.last_at > idle_s:
                client.link.drop()

    def end_idle(self, idle_s: float, told: bool) -> None:
        """As a firewall between both ends what has been idle so long: by a reset or, the shared ones, in silence."""
        for link, client in list(self.clients.items()):
            heard_at = getattr(link.protocol, "last_reply_at", client.last_at if told else self.world.now)
            if self.world.now - heard_at > idle_s and not link.busy:
                (link.reset if told else link.vanish)()

    def hash_of(self, key: bytes) -> dict[bytes, bytes]:
        """A hash, to be looked at."""
        found: dict[bytes, bytes] = self.data.get(key, {})
        return found

    # --- data ---------------------------------------------------------------------------------------------------------
    def _set_field(self, key: bytes, field: bytes, value: bytes | None) -> bytes | None:
        fields = self.data.setdefault(key, {})
        old: bytes | None = fields.get(field)
        self.on_write(key, field, old, value)
        self._remember(key, field, old)
        _put(fields, field, value)
        if not fields:
            self._delete(key)
        return old

    def _delete(self, key: bytes) -> None:
        del self.data[key]
        self._expiries.pop(key, None)

    def _remember(self, key: bytes, field: bytes | None, old: Any) -> None:
        now = self.world.now
        self._undo.append((now, key, field, old))
        while self._undo[0][0] < now - KEPT_S:
            self._undo.popleft()

    # --- commands -----------------------------------------------------------------------------------------------------
    def _table(self) -> dict[bytes, Callable[[_Client, list[bytes]], Any]]:
        data, put = self.data, self._set_field
        return {
            b"HELLO": self._hello,
            b"AUTH": lambda client, words: self._prove(client, words[-1]),
            b"CLIENT": lambda client, words: client.number if words[1].upper() == b"ID" else "OK",
            b"PING": lambda _, words: "PONG",
            b"ECHO": lambda _, words: words[1],
            b"TIME": lambda _, words: self._time(),
            b"INCR": lambda _, words: self._add(words[1], 1),
            b"INCRBY": lambda _, words: self._add(words[1], int(words[2])),
            b"HGET": lambda _, words: data.get(words[1], {}).get(words[2]),
            b"HMGET": lambda _, words: [data.get(words[1], {}).get(field) for field in words[2:]],
            b"HSET": lambda _, words: sum(
                [put(words[1], *pair) is None for pair in zip(words[2::2], words[3::2], strict=True)]
            ),
            b"HDEL": lambda _, words: int(put(words[1], words[2], None) is not None),
            b"HINCRBY": lambda _, words: self._add_to_field(words[1], words[2], int(words[3])),
            b"PEXPIREAT": lambda _, words: self._expire_at(words[1], int(words[2]) / 1000 - EPOCH_S),
            b"BLPOP": self._block,
            b"MULTI": self._multi,
            b"EXEC": self._exec,
            b"EVALSHA": lambda client, words: self._eval(client, self._scripts.get(words[1]), words),
            b"EVAL": lambda client, words: self._eval(client, self._load(words[1]), words),
        }

    def _hello(self, client: _Client, words: list[bytes]) -> Any:
        if b"AUTH" in words:
            self._prove(client, words[words.index(b"AUTH") + 2])
        elif not client.proven:
            raise Refusal("NOAUTH HELLO must be called with the client already authenticated")
        client.resp3 = words[1:2] == [b"3"]
        return {b"server": b"redis", b"proto": 3 if client.resp3 else 2, b"id": client.number, b"mode": b"standalone"}

    def _prove(self, client: _Client, password: bytes) -> str:
        """A password, or a token: the password and when it runs out."""
        word, _, until = password.decode().partition("@")
        if until and float(until) < client.link.asked_at:
            self.world.violate(f"{client.link.who} shows a token that had run out when it connected")
        if word != self.password or (until and float(until) <= max(self.world.now, self.revoked)):
            raise Refusal("WRONGPASS invalid username-password pair or user is disabled.")
        client.proven = True
        if until:
            client.until = float(until)
            self.world.at(client.until, self._run_out, client)
        return "OK"

    def _run_out(self, client: _Client) -> None:
        """Azure closes a connection whose token has run out, and asks everybody to renew it well before."""
        if client.until <= self.world.now and not client.link.gone:
            aside = isinstance(client.link.protocol, asyncio.StreamReaderProtocol)  # replaced, not renewed
            if self.world.now > self.calm_since + RENEWAL_S and not aside:
                self.world.violate(f"the token of {client.link.who} has run out")
            client.link.drop()

    def _expire_at(self, key: bytes, when: float) -> int:
        if key not in self.data:
            return 0
        self._expiries[key] = when
        self.world.at(max(when, self.world.now), self._expire, key, when)
        return 1

    def expires_at(self, key: bytes) -> int | None:
        """In milliseconds since 1970, as PEXPIRETIME."""
        return round((self._expiries[key] + EPOCH_S) * 1000) if key in self._expiries else None

    def _expire(self, key: bytes, when: float) -> None:
        if self._expiries.get(key) == when:
            self._delete(key)

    def micros(self) -> int:
        """Its clock, in microseconds since 1970."""
        return int((EPOCH_S + self.world.now) * 1_000_000)

    def _time(self) -> list[bytes]:
        return [b"%d" % part for part in divmod(self.micros(), 1_000_000)]

    def _add(self, key: bytes, more: int) -> int:
        value = int(self.data.get(key, 0)) + more
        self._remember(key, None, self.data.get(key))
        self.data[key] = b"%d" % value
        return value

    def _add_to_field(self, key: bytes, field: bytes, more: int) -> int:
        value = int(self.data.get(key, {}).get(field, 0)) + more
        self._set_field(key, field, b"%d" % value)
        return value

    def _block(self, client: _Client, words: list[bytes]) -> None:
        """BLPOP of a list that is never there."""
        client.blocked = True
        self.world.later(float(words[-1]) or 3600.0, self._unblock, client)

    def _unblock(self, client: _Client) -> None:
        client.blocked = False
        client.link.reply(encode(None, client.resp3))
        self._serve(client)

    def _multi(self, client: _Client, words: list[bytes]) -> str:
        client.queued = []
        return "OK"

    def _exec(self, client: _Client, words: list[bytes]) -> Any:
        if client.spoilt:
            raise Refusal("EXECABORT Transaction discarded because of previous errors.")
        if client.queued is None:
            raise Refusal("ERR EXEC without MULTI")
        queued, client.queued = client.queued, None
        replies: list[Any] = []
        for command in queued:
            try:
                replies.append(None if command[0].upper() == b"BLPOP" else self.execute(client, command))
            except Refusal as refused:
                replies.append(refused)
        return replies

    def _load(self, text: bytes) -> bytes:
        self._scripts[hashlib.sha1(text).hexdigest().encode()] = text  # noqa: S324 - Redis's name for a script
        return text

    def _eval(self, client: _Client, text: bytes | None, words: list[bytes]) -> Any:
        if text is None:
            raise Refusal("NOSCRIPT No matching script. Please use EVAL.")
        keys = int(words[2]) + 3
        ended = self.on_script(text, words[3:keys], words[keys:])
        reply = scripts().run(text, words[3:keys], words[keys:], partial(self._call, client))
        ended(reply)
        return reply

    def _call(self, client: _Client, words: list[bytes]) -> Any:
        try:
            return self.execute(client, words)
        except Refusal as refused:
            if self.random.random() < 0.5:  # as Redis 6 says it
                raise Refusal(f"ERR Error running script (call to f_0): @user_script:1: -{refused}") from None
            raise Refusal(f"{refused} script: 0, on @user_script:1.") from None


def _put(fields: dict[bytes, Any], field: bytes, value: Any) -> None:
    if value is None:
        fields.pop(field, None)
    else:
        fields[field] = value


def encode(value: Any, resp3: bool) -> bytes:
    """A reply on the wire: str is a status, an exception an error reply."""
    kind = type(value)
    if kind is bytes:
        return b"$%d\r\n%s\r\n" % (len(value), value)
    if kind is int:
        return b":%d\r\n" % value
    if value is None:
        return b"_\r\n" if resp3 else b"$-1\r\n"
    if kind is str:
        return b"+%s\r\n" % value.encode()
    if kind is list:
        return b"*%d\r\n%s" % (len(value), b"".join([encode(item, resp3) for item in value]))
    if kind is dict:
        parts = [encode(item, resp3) for pair in value.items() for item in pair]
        return b"%%%d\r\n%s" % (len(value), b"".join(parts)) if resp3 else b"*%d\r\n%s" % (len(parts), b"".join(parts))
    return b"-%s\r\n" % str(value).encode()
