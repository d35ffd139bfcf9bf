"""Temporary folders that name their owner: what a killed process left behind, the next one removes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path

HOST = socket.gethostname()  # containers may share the folder, and know nothing of each other's processes
_OWNED = re.compile(rf"lab-[a-z-]+-{re.escape(HOST)}-(\d{{1,7}})-\w{{8}}")


def owned(kind: str) -> str:
    """The prefix of a temporary folder of this process. Removes this user's folders whose process is gone."""
    for folder in Path(tempfile.gettempdir()).glob("lab-*"):
        match = _OWNED.fullmatch(folder.name)
        with contextlib.suppress(FileNotFoundError):  # others may be at it, too
            if match and _is_gone(int(match[1])) and folder.lstat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)  # which refuses a link
    return f"lab-{kind}-{HOST}-{os.getpid()}-"


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)  # else it is another user's
    return False
