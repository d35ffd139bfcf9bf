"""`.lab/up.json`: what `python -m lab up` started, so that the other commands find it.

Readable by its owner alone, for it holds connection strings. Must never be taken for true when its process is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.azure.settings import ROOT

DEFAULT_PATH = ROOT / ".lab" / "up.json"


@dataclass(frozen=True)
class LabState:
    """A running lab. `pids`: name -> process id of everything it started; `pid` is the lab itself."""

    pid: int
    url: str
    queue: str
    redis_url: str = field(repr=False)
    service_bus: str = field(repr=False)
    pids: dict[str, int] = field(default_factory=dict)


class NoLab(LookupError):
    """No lab is running here."""


def add_state_argument(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--state", type=Path, default=DEFAULT_PATH, metavar="FILE", help="where `lab up` recorded what runs"
    )


def running(path: Path) -> LabState:
    """The running lab. Raises NoLab."""
    if (state := read_state(path)) is None:
        raise NoLab("No lab is running: start one with `python -m lab up`.")
    return state


def write_state(state: LabState, path: Path) -> None:
    """Write the file in one step, for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{state.pid}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(state), indent=2), encoding="utf-8")
    draft.replace(path)


def read_state(path: Path) -> LabState | None:
    """The running lab, None if there is none."""
    try:
        state = LabState(**json.loads(path.read_text(encoding="utf-8")))
        os.kill(state.pid, 0)
    except PermissionError:  # alive, but owned by another user
        return state
    except (OSError, ValueError, TypeError):
        return None
    return state


def remove_state(path: Path, pid: int) -> None:
    """Remove the file if it belongs to the lab `pid`."""
    state = read_state(path)
    if state is None or state.pid == pid:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
