"""The commands that serve any app."""

from __future__ import annotations

from lab.azure import dead_letters, enqueue, outage, status, up

COMMANDS = {"up": up, "status": status, "break": outage, "enqueue": enqueue, "dead-letters": dead_letters}
EXAMPLES = """\
  python -m lab up                      the app, a Valkey and a Service Bus; Ctrl-C ends them all
  python -m lab status                  what of it answers, and what waits on its queue, from a second terminal
  python -m lab break redis --for 10    kill its Redis, and start it again after ten seconds
  python -m lab enqueue '{"x": 1}'      put a message on its queue
  python -m lab dead-letters            what the queue gave up on, and why
"""
