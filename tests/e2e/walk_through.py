"""The README's walk-through as steps that can be run: as it is written, or against a deployed app.

Must never show a function key: curl reads it from its standard input.
"""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass, field

from tests import ROOT

README_URL = "http://localhost:7071"
README_DROP = "demo"
README_ORDER = "3ebd13ef-d6dd-54f3-a2e0-2c3e3f434380"
COMMAND_S = 60  # one command; an app that starts cold takes its time
PAUSE_S = 0.2

# For each command of the walk-through, in order: what its output must hold, perhaps only after a moment.
EXPECTED = (
    r"^HTTP/\S+ 20[01]\b.*\"remaining\":5,\"confirmed\":0",
    r"^HTTP/\S+ 202\b.*^location: \S*/orders/(?P<order>\S+).*\"status\":\"queued\"",
    r"^HTTP/\S+ 200\b.*\"status\":\"confirmed\"",
    r"^HTTP/\S+ 200\b.*\"status\":\"confirmed\"",
    r"^HTTP/\S+ 409\b.*urn:problem-type:sold-out",
    r"^HTTP/\S+ 200\b.*\"remaining\":1,\"confirmed\":4",
    r"^HTTP/\S+ 200\b.*\"ok\"",
    r"^HTTP/\S+ 200\b.*\"ready\"",
    r".",
    r"^HTTP/\S+ 200\b.*\"customer_id\":\"carol\".*\"status\":\"confirmed\"",
    r".",
    r"MaxDeliveryCountExceeded",
)


class Unexpected(AssertionError):
    """A command did not show what the README says; the message holds its output, never the key."""


@dataclass(frozen=True)
class Step:
    """One command line of the README, and a pattern of what it shows."""

    line: str
    expected: str

    @property
    def is_by_hand(self) -> bool:
        """True for what speaks to the queue itself, or asks for the outcome of that."""
        return "-m lab" in self.line or "by-hand" in self.line

    @property
    def changes_something(self) -> bool:
        """True if the command must run once only."""
        return " -X " in self.line or " enqueue " in self.line

    def search(self, output: str) -> re.Match[str] | None:
        """What is expected, found in this output; header names in any case."""
        return re.search(self.expected, output, re.DOTALL | re.MULTILINE | re.IGNORECASE)


def steps() -> list[Step]:
    """The commands under "Try it", continued lines joined. Raises ValueError if there is no expectation for one."""
    walk_through = (ROOT / "README.md").read_text(encoding="utf-8").split("## Try it")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", walk_through, re.DOTALL)
    lines = re.sub(r" *\\\n *", " ", "".join(blocks)).splitlines()
    return [Step(line, expected) for line, expected in zip(lines, EXPECTED, strict=True)]


@dataclass
class WalkThrough:
    """Where the steps are run.

    Args:
        url: the app, without a slash at the end.
        python: the interpreter for `-m lab`.
        drop_id: used in place of the README's; a drop that exists already would show other numbers.
        key: function key, for the header `x-functions-key`; empty for none.
        queue_options: what `python -m lab` needs to find the queue.
        within_s: how long a command may take to show what is expected of it, in seconds.
    """

    url: str
    python: str
    drop_id: str = README_DROP
    key: str = field(default="", repr=False)
    queue_options: str = ""
    within_s: float = 20.0
    order_id: str = README_ORDER

    def command(self, step: Step) -> str:
        """The step's line as it is run here."""
        line = step.line.replace(README_URL, self.url).replace(README_ORDER, self.order_id)
        line = line.replace(f"/drops/{README_DROP}", f"/drops/{self.drop_id}")
        line = line.replace(f'"drop_id": "{README_DROP}"', f'"drop_id": "{self.drop_id}"')
        if "-m lab" in line:
            return f"{line.replace('.venv/bin/python', self.python)} {self.queue_options}".rstrip()
        return line.replace("curl -i", "curl -sS -i -K -") if self.key else line

    def run(self, step: Step) -> str:
        """Run it until it shows what it should, and return its output. Raises Unexpected."""
        ends_at = time.monotonic() + self.within_s
        while True:
            output = self._shell(self.command(step))
            if found := step.search(output):
                self.order_id = found.groupdict().get("order", self.order_id)
                return output
            if step.changes_something or time.monotonic() > ends_at:
                raise Unexpected(f"{step.line}\nshould show {step.expected}\nbut showed:\n{output}")
            time.sleep(PAUSE_S)

    def _shell(self, command: str) -> str:
        quoted = self.key.replace("\\", "\\\\").replace('"', '\\"')
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            input=f'header = "x-functions-key: {quoted}"\n' if self.key else "",
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode != 0:
            raise Unexpected(f"{command}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout
