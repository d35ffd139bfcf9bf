"""Shows what the lab's processes write: short and coloured on a terminal, unchanged elsewhere.

Must never slow its writers down: on a terminal it shows a few successes a second and counts the rest.
"""

from __future__ import annotations

import re
import threading
import time

from rich.console import Console
from rich.text import Text

SHOWN_PER_SECOND = 25
LINE = re.compile(r"(?P<time>\d\d:\d\d:\d\d\.\d{3}) (?P<level>[A-Z]+) \[(?P<logger>[^\]]+)\] (?P<message>.*)")
EXECUTED = re.compile(
    r"Executed 'Functions\.(?P<name>.+?)' \((?P<outcome>\w+), Id=(?P<id>\S+), Duration=(?P<ms>\d+)ms\)"
)
STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


class InvocationLog:
    """Prints lines of children to `console`; one for all threads."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._second = 0
        self._shown = 0
        self._hidden = 0

    def show(self, name: str, line: str) -> None:
        """Show a line that the process `name` wrote."""
        if not self._console.is_terminal:
            with self._lock:
                print(f"{name} | {line}", file=self._console.file, flush=True)
            return
        text = render(name, line)
        if text is not None:
            self._print(text, always="Succeeded" not in line)

    def _print(self, text: Text, *, always: bool) -> None:
        with self._lock:
            second = int(time.monotonic())
            if second != self._second:
                if self._hidden:
                    self._console.print(Text(f"  ... and {self._hidden} more that succeeded", style="dim"))
                self._second, self._shown, self._hidden = second, 0, 0
            if always or self._shown < SHOWN_PER_SECOND:
                self._shown += 1
                self._console.print(text, soft_wrap=True)
            else:
                self._hidden += 1


def render(name: str, line: str) -> Text | None:
    """A line for a terminal; None for one that says nothing new (the start of an invocation)."""
    found = LINE.fullmatch(line)
    if found is None:
        return Text(f"{name} | {line}", style="dim")
    message = found["message"]
    if message.startswith("Executing 'Functions."):
        return None
    text = Text(f"{found['time']} ", style="dim")
    if executed := EXECUTED.match(message):
        succeeded = executed["outcome"] == "Succeeded"
        text.append("ok   " if succeeded else "FAIL ", style="green" if succeeded else "bold red")
        text.append(executed["name"], style="bold")
        return text.append(f"  {executed['ms']} ms  {executed['id']}", style="dim")
    text.append(f"{found['level']} ", style=STYLES.get(found["level"], "cyan"))
    return text.append(f"[{found['logger']}] {message}", style=STYLES.get(found["level"], "none"))
