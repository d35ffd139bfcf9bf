"""Temporary folders that name their owner: what a killed process left behind, the next one removes."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

_OWNED = re.compile(r"lab-[a-z-]+-(\d{1,7})-\w{8}")


def owned(kind: str) -> str:
    """The prefix of a temporary folder of this process. Removes this user's folders whose process is gone."""
    for folder in Path(tempfile.gettempdir()).glob("lab-*"):
        match = _OWNED.fullmatch(folder.name)
        if match and _is_gone(int(match[1])) and folder.lstat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)  # a link it refuses; others may be at it, too
    return f"lab-{kind}-{os.getpid()}-"


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return False
