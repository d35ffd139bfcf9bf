"""Follows docs/your-own-business.md in a copy of the project: `python -m tests.docs.own_business FOLDER`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests import ROOT
from tests.pages import blocks, page

PAGE = page("your-own-business.md")
TAKE_OUT, PUT_IN, WIRE = (PAGE.split(f"\n## {number}. ")[1].split("\n## ")[0] for number in (1, 2, 3))
LEFT_BEHIND = shutil.ignore_patterns(".git", ".venv", ".lab", "build", "__pycache__", ".*_cache", ".hypothesis")


def named_blocks(text: str, language: str) -> dict[str, str]:
    """File name -> the block that stands below the line that names it."""
    found: list[tuple[str, str]] = re.findall(rf"\n`([\w./]+)`[^\n]*:\n\n```{language}\n(.*?)```", text, re.DOTALL)
    assert len(found) == len(blocks(text, language))
    return dict(found)


def edited(text: str, diff: str) -> str:
    """The text after the diff's edits. Raises AssertionError if an edit's old lines are not there exactly once."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if not line.startswith("+"))
        new = "".join(line[1:] for line in lines if not line.startswith("-"))
        assert text.count(old) == 1, f"the page's edit does not fit:\n{hunk}"
        text = text.replace(old, new)
    return text


def follow(folder: Path) -> None:
    """Copy the project to `folder`, which must not exist, and do what the page says."""
    shutil.copytree(ROOT, folder, ignore=LEFT_BEHIND, symlinks=True)
    commands = blocks(TAKE_OUT, "sh") + [block for block in blocks(WIRE, "sh") if "curl" not in block]
    for command in commands:
        subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, check=True)
    for name, text in named_blocks(PUT_IN, "python").items():
        (folder / name).write_text(text)
    for name, diff in named_blocks(WIRE, "diff").items():
        (folder / name).write_text(edited((folder / name).read_text(), diff))


if __name__ == "__main__":
    follow(Path(sys.argv[1]))
