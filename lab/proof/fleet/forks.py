"""Processes forked from one that has everything imported: an instance then starts in 20 ms instead of 600.

One fork server per lab (multiprocessing's); whoever forks from it takes `context` from here, so that it is warm before
the first. It ends with the lab, and `leashed` ends the processes that it forked.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing import forkserver

from lab.azure.leash import ask_kernel
from lab.azure.processes import HAS_PDEATHSIG

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["lab.proof.fleet.warm"])


def leashed() -> None:
    """Called first in a forked process: it ignores the terminal's Ctrl-C and never outlives the lab."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _let_go_of_the_fork_server()
    if HAS_PDEATHSIG:
        ask_kernel(os.getppid())  # the fork server, which ends with the lab; this ends a stopped process too
        return
    lab = multiprocessing.parent_process()

    def watch() -> None:
        if lab is not None:
            lab.join()
        os._exit(1)

    threading.Thread(target=watch, name="leash", daemon=True).start()


def _let_go_of_the_fork_server() -> None:
    """It ends when nobody holds the other end of its pipe, which every process that it forks is handed too."""
    server = getattr(forkserver, "_forkserver")  # noqa: B009 - not in the annotations
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = None
