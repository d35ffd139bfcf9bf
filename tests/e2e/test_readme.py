"""Every line of the README's walk-through, run as it is written, shows what the README says it shows."""

import re
import sys
from pathlib import Path

from tests.e2e.conftest import Lab
from tests.e2e.walk_through import EXPECTED, ROOT, WalkThrough, steps

README = (ROOT / "README.md").read_text()


def test_every_command_of_the_walk_through_shows_what_the_readme_says(lab: Lab) -> None:
    options = f"--state {lab.state}" if lab.state else ""
    walk_through = WalkThrough(lab.url, sys.executable, queue_options=options)
    shown = [walk_through.run(step) for step in steps()]
    assert len(shown) == len(EXPECTED)


def test_every_path_the_readme_names_exists() -> None:
    names = re.findall(r"`([\w./-]+/|[\w./-]+\.(?:py|md|txt|json))`", README) + re.findall(
        r"\]\((docs/[^)]+)\)", README
    )
    known = {path.name for path in ROOT.rglob("*") if ".venv" not in path.parts}
    assert len(names) > 10
    assert [name for name in names if not (ROOT / name).exists() and Path(name).name not in known] == []
