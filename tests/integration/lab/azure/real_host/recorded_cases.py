"""The recorded answers of the real Functions host, and the list of those in which the lab's host differs on purpose.

Recorded on 26 November 2026: host 4.1037, Python worker 4.34 on CPython 3.11.7, azure-functions 1.26.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RECORDED = FOLDER / "recorded"


def text(name: str) -> str:
    return gzip.decompress((RECORDED / f"{name}.gz").read_bytes()).decode()


def lines(name: str) -> list[dict[str, Any]]:
    """The cases of a file, one JSON object a line."""
    return [json.loads(line) for line in text(name).split("\n") if line]


def on_purpose(kind: str) -> dict[str, str]:
    """Case -> reason, for the cases of `kind` (http, messages, apps) that differ on purpose."""
    reasons: Mapping[str, list[str]] = json.loads((FOLDER / "on_purpose.json").read_text(encoding="utf-8"))[kind]
    return {case: reason for reason, cases in reasons.items() for case in cases}


def judge(kind: str, differences: Mapping[str, str], cases: set[str], listed: Mapping[str, str] | None = None) -> None:
    """Fails for a difference that is not listed, and for a listed case of `cases` that agrees.

    `listed`: those on purpose, by default the committed ones.
    """
    listed = on_purpose(kind) if listed is None else listed
    unlisted = [f"{case}\n    {difference}" for case, difference in differences.items() if case not in listed]
    agreeing = sorted(case for case in cases & set(listed) if case not in differences)
    assert not unlisted, f"{len(unlisted)} differ from the real host, unlisted:\n" + "\n".join(unlisted)
    assert not agreeing, f"listed as different on purpose, but they agree: {agreeing}"
