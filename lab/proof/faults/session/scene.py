"""The stage of one trial of a session: what its Redis is, who uses it, and what the lab itself asks."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from lab.proof.faults.redis import Target
from lab.proof.faults.session.load import Load
from lab.proof.faults.session.pace import Pace
from lab.proof.strategies import Session

USER = "app"


@dataclass
class Scene:
    """What a fault may touch. `notes`: what went wrong beside the load."""

    target: Target
    session: Session
    load: Load
    pace: Pace
    password: str
    notes: list[str] = field(default_factory=list)


def new_password() -> str:
    """One that no log has seen."""
    return secrets.token_hex(8)
