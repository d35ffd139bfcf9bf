"""`python -m lab.azure.functions_host.worker.process FD FOLDER`: the worker as a process of its own.

It serves the host at the other end of a socket and ends with it. The app sees none of the lab's packages: its own of
the same names win, and this repository's cannot be imported by accident.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from lab.azure.functions_host.worker import channel, log_handler
from lab.azure.functions_host.worker.app import load_folder
from lab.azure.functions_host.worker.worker import FunctionFailed, Worker

ROOT = Path(__file__).resolve().parents[4]
PACKAGES = Path(".python_packages") / "lib" / "site-packages"  # what a deployed app brings along


def hide_lab(folder: Path) -> None:
    """Forget the lab's modules, and the folder that they came from unless it is the app's."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        del sys.modules[name]
    main_module = sys.modules["__main__"]
    main_module.__spec__ = None
    main_module.__file__ = None  # otherwise processes spawned by multiprocessing would import this module
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != ROOT]
    theirs = [entry for entry in os.environ.pop("PYTHONPATH", "").split(os.pathsep) if entry not in ("", str(ROOT))]
    if theirs:
        os.environ["PYTHONPATH"] = os.pathsep.join(theirs)
    if (folder / PACKAGES).is_dir():
        sys.path.insert(0, str(folder / PACKAGES))


class WorkerServer:
    """Answers the host's calls on the running loop, a task each."""

    def __init__(self, worker: Worker, peer: socket.socket) -> None:
        self._worker = worker
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Receive until the host has gone, which ends this process at once, whatever it does; on a thread."""
        while (message := channel.receive(self._peer)) is not None:
            self._loop.call_soon_threadsafe(self._begin, message)
        os._exit(0)

    def tell(self, *message: Any) -> None:
        self._peer.sendall(channel.pack(message))

    def _begin(self, message: tuple[Any, ...]) -> None:
        task = self._loop.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, told: tuple[Any, ...]) -> None:
        call = channel.read_call(told)
        try:
            result = await self._worker.call(call)
        except FunctionFailed as error:
            self.tell("failed", call.invocation_id, str(error).encode(errors="backslashreplace").decode())
        else:
            self.tell("result", call.invocation_id, channel.plain(result))


async def serve(folder: Path, peer: socket.socket) -> None:
    """Index the app on the running loop, as the Python worker does, tell the host, and serve it."""
    app = load_folder(folder)
    server = WorkerServer(Worker(app, str(folder)), peer)
    server.tell("index", [(function.name, function.bindings) for function in app.functions.values()], app.error)
    threading.Thread(target=server.listen, name="host", daemon=True).start()
    await asyncio.Event().wait()


def main() -> None:
    """Ends at once with the code of a SystemExit, whoever raised it: running threads are not waited for."""
    peer, folder = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    for stream in (sys.stdout, sys.stderr):  # whole lines at once, as the host writes to the same stream
        stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
    os.chdir(folder)  # so that an app's relative paths work
    hide_lab(folder)
    log_handler.install()
    code: Any = 1
    try:
        asyncio.run(serve(folder, peer))
    except SystemExit as error:
        code = error.code
    except KeyboardInterrupt:
        code = 130
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
