"""Ties this process to its parent's life, then becomes the command it was given.

Run as a script by processes.py, before the real program: `leash.py PARENT_PID PIPE COMMAND ARG...`. It needs
nothing but the standard library and must never outlive the parent that started it.

On Linux the kernel keeps the promise (PR_SET_PDEATHSIG survives execve, prctl(2)). Elsewhere a small watcher process
holds the read end of a pipe whose write end only the parent has: end of file means that the parent is gone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
NO_PIPE = -1


def ask_kernel(parent: int) -> None:
    """Let the kernel send SIGKILL when the parent ends; ends at once if `parent` (a pid) is already gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"leash: prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("leash: the parent is already gone")


def leave_watcher(pipe: int) -> None:
    """Fork a watcher that kills this process when `pipe` (a file descriptor) reaches end of file."""
    watched = os.getpid()
    if os.fork() != 0:
        os.close(pipe)
        return
    for descriptor in (0, 1, 2):  # else a reader of the program's output would wait for the watcher too
        os.close(descriptor)
    while os.read(pipe, 1):
        pass
    if os.getppid() == watched:
        os.kill(watched, signal.SIGKILL)
    os._exit(0)


def main(arguments: list[str]) -> None:
    """`arguments`: the parent's pid, the pipe's descriptor (-1 for none), then the command and its arguments."""
    parent, pipe, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    if pipe == NO_PIPE:
        ask_kernel(parent)
    else:
        leave_watcher(pipe)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(f"leash: cannot start {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
