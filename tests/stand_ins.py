"""Stand-ins for `az` and its like on a PATH of their own: what they are asked, they log; what they answer, a test says.

The `az` here does what the real one does with outputs: Resource Manager gives their names back in another case
(`azurE_FUNCTION_APP_NAME`; azure-dev issue 512, bicep issue 9360), and `--query` looks names up by case.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = f"""#!{sys.executable}
import json, pathlib, sys

folder, name = pathlib.Path(__file__).parent, pathlib.Path(__file__).name
asked = " ".join(sys.argv[1:])
with (folder / "asked.log").open("a") as log:
    log.write(f"{{name}} {{asked}}\\n")
known = json.loads((folder / "answers.json").read_text())
_, answer, code = next((one for one in known if f"{{name}} {{asked}}".startswith(one[0])), ["", None, 0])
for part in (sys.argv[sys.argv.index("--query") + 1].split(".") if "--query" in sys.argv else []):
    answer = answer.get(part) if isinstance(answer, dict) else answer
text = sys.argv[-2:] == ["--output", "tsv"] or "--jq" in sys.argv
if answer is not None:
    print("\\n".join(answer) if isinstance(answer, list) and text else answer if text else json.dumps(answer))
sys.exit(code)
"""


def recased(name: str) -> str:
    """The name of an output as Resource Manager gives it back."""
    upper = next((at for at, letter in enumerate(name) if not letter.isupper()), len(name))
    return name[: upper - 1].lower() + name[upper - 1 :]


@dataclass(frozen=True)
class StandIns:
    """A folder of commands."""

    folder: Path

    def answer(self, asked: str, with_: Any, code: int = 0) -> None:
        """What a command line that begins so prints, `--query` by names taken from it, and how it ends."""
        file = self.folder / "answers.json"
        known = json.loads(file.read_text())
        file.write_text(json.dumps([*known, [asked, with_, code]]))

    def run(
        self, script: str, environment: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A script as a person pastes it."""
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-e"],
            input=script,
            cwd=cwd,
            env={"PATH": path, "HOME": str(self.folder), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @property
    def asked(self) -> list[str]:
        """Every command line so far."""
        log = self.folder / "asked.log"
        return log.read_text().splitlines() if log.exists() else []


def stand_ins(folder: Path, *names: str) -> StandIns:
    """Commands that do nothing until they are told what to answer."""
    for name in names:
        (folder / name).write_text(COMMAND)
        (folder / name).chmod(0o755)
    (folder / "answers.json").write_text("[]")
    return StandIns(folder)
