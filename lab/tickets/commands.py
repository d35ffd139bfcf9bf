"""The commands that know orders; `dead-letters` takes the place of the one that serves any app."""

from __future__ import annotations

from lab.tickets import dead_letters, requeue

COMMANDS = {"dead-letters": dead_letters, "requeue": requeue}
