"""Every line of the README's walk-through, run as it is written, shows what the README says it shows."""

import re
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.conftest import ROOT, Lab

README = (ROOT / "README.md").read_text()
WITHIN_S = 20

# For each command of the walk-through, in order: what its output must hold, perhaps only after a moment.
EXPECTED = (
    r"HTTP/1.1 20[01] .*\"remaining\":5,\"confirmed\":0",
    r"HTTP/1.1 202 .*Location: /api/drops/demo/orders/(?P<order>\S+).*\"status\":\"queued\"",
    r"HTTP/1.1 200 .*\"status\":\"confirmed\"",
    r"HTTP/1.1 200 .*\"status\":\"confirmed\"",
    r"HTTP/1.1 409 .*urn:problem-type:sold-out",
    r"HTTP/1.1 200 .*\"remaining\":1,\"confirmed\":4",
    r"HTTP/1.1 200 .*\"ok\"",
    r"HTTP/1.1 200 .*\"ready\"",
    r".",
    r"HTTP/1.1 200 .*\"customer_id\":\"carol\".*\"status\":\"confirmed\"",
    r".",
    r"MaxDeliveryCountExceeded",
)


def commands() -> list[str]:
    """The commands under "Try it", continued lines joined."""
    walk_through = README.split("## Try it")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", walk_through, re.DOTALL)
    return "".join(blocks).replace("\\\n", "").splitlines()


def shell(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_command_of_the_walk_through_shows_what_the_readme_says(lab: Lab) -> None:
    assert len(commands()) == len(EXPECTED)
    state = f" --state {lab.state}" if lab.state else ""
    for line, expected in zip(commands(), EXPECTED, strict=True):
        command = line.replace("http://localhost:7071", lab.url)
        if "-m lab" in command:
            command = command.replace(".venv/bin/python", sys.executable) + state
        ends_at = time.monotonic() + WITHIN_S
        output = shell(command)
        while not re.search(expected, output, re.DOTALL) and "-X" not in command and time.monotonic() < ends_at:
            time.sleep(0.2)
            output = shell(command)
        assert re.search(expected, output, re.DOTALL), f"{line}\n{output}"


def test_every_path_the_readme_names_exists() -> None:
    names = re.findall(r"`([\w./-]+/|[\w./-]+\.(?:py|md|txt|json))`", README) + re.findall(
        r"\]\((docs/[^)]+)\)", README
    )
    known = {path.name for path in ROOT.rglob("*") if ".venv" not in path.parts}
    assert len(names) > 10
    assert [name for name in names if not (ROOT / name).exists() and Path(name).name not in known] == []
