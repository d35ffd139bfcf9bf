"""The commands that serve any app."""

from __future__ import annotations

from lab.azure import dead_letters, enqueue, outage, status, up

COMMANDS = {"up": up, "status": status, "break": outage, "enqueue": enqueue, "dead-letters": dead_letters}
