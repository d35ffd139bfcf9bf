"""Child processes of the lab: started with their own log, ended in order and by pid, gone when their parent is gone.

Must never signal a process that it did not start, nor a process group.
"""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.azure import leash

TAIL_LINES = 200
MAX_LINE = 64 * 1024  # bytes; a longer line is cut, so that a child cannot fill our memory
STOP_DEADLINE_S = 10.0
HAS_PDEATHSIG = sys.platform == "linux"

# The kernel's promise is bound to the *thread* that forked (prctl(2)): one that lives as long as we do starts them all.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab-spawner")


class Child:
    """A process started by the lab.

    `argv`: the command; `env`: its whole environment (ours by default); `on_line`: called with every line it writes
    (stdout and stderr together, without the newline), on a thread of its own. The process has a session of its own, so
    a Ctrl-C at the terminal reaches only the lab, which ends its children in order.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        kernel_leash: bool = HAS_PDEATHSIG,
    ) -> None:
        self.name = name
        self._on_line = on_line
        self._tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._pipe: int | None = None
        self._process = self._spawn([str(word) for word in argv], env, cwd, kernel_leash)
        self._reader = threading.Thread(target=self._read_lines, name=f"lab-log-{name}", daemon=True)
        self._reader.start()

    def __repr__(self) -> str:
        state = "running" if self.alive else f"ended with {self.returncode}"
        return f"<Child {self.name} pid={self.pid} {state}>"

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._process.poll()

    @property
    def alive(self) -> bool:
        return self.returncode is None

    def tail(self) -> list[str]:
        """The last lines it wrote, at most 200."""
        return list(self._tail)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens if it has ended."""
        if self.alive:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int | None:
        """Its return code, or None if it still runs after `timeout_s` seconds."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._release()
        return code

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> int:
        """SIGTERM, then SIGKILL after `deadline_s` seconds; returns its code. Wakes a paused process first."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        code = self.wait(deadline_s)
        return self.kill() if code is None else code

    def kill(self) -> int:
        self.signal(signal.SIGKILL)
        code = self._process.wait()
        self._release()
        return code

    def _spawn(
        self, argv: list[str], env: Mapping[str, str] | None, cwd: Path | None, kernel_leash: bool
    ) -> subprocess.Popen[bytes]:
        read_end = leash.NO_PIPE
        if not kernel_leash:
            read_end, self._pipe = os.pipe()
        command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), str(read_end), *argv]

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                command,
                env=None if env is None else dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=() if read_end == leash.NO_PIPE else (read_end,),
            )

        try:
            return _spawner.submit(start).result()
        finally:
            if read_end != leash.NO_PIPE:
                os.close(read_end)

    def _read_lines(self) -> None:
        output = self._process.stdout
        assert output is not None  # noqa: S101 - Popen was given a PIPE
        while raw := output.readline(MAX_LINE):
            line = raw.decode(errors="replace").rstrip("\r\n")
            self._tail.append(line)
            if self._on_line is not None:
                with contextlib.suppress(Exception):  # if nobody read on, the child would block on a full pipe
                    self._on_line(line)

    def _release(self) -> None:
        self._reader.join(timeout=1)
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()
