"""The commands that serve any app."""

from lab.azure import dead_letters, enqueue, up

COMMANDS = {"up": up, "enqueue": enqueue, "dead-letters": dead_letters}
EXAMPLES = """\
  python -m lab up                      the app, a Valkey and a Service Bus; Ctrl-C ends them all
  python -m lab enqueue '{"x": 1}'      put a message on its queue, from a second terminal
  python -m lab dead-letters            what the queue gave up on, and why
"""
