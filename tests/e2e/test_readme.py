"""Every line of the README's walk-through, run as it is written, shows what the README says it shows."""

from __future__ import annotations

import re
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests import ROOT
from tests.e2e.walk_through import EXPECTED, README_DROP, Step, WalkThrough, steps
from tests.running_lab import Lab

README = (ROOT / "README.md").read_text()


def drop_id(api: httpx.Client) -> str:
    """The README's, unless the app has sold it already: it would show other numbers."""
    is_new = api.get(f"/drops/{README_DROP}").status_code == httpx.codes.NOT_FOUND
    return README_DROP if is_new else f"{README_DROP}-{uuid.uuid4()}"


def walked(lab: Lab, drop_id: str, *, by_hand: bool) -> list[str]:
    walk_through = WalkThrough(lab.url, sys.executable, drop_id, lab.key, lab.queue_options)
    return [walk_through.run(step) for step in steps() if by_hand or not step.is_by_hand]


@pytest.mark.by_hand("two of the commands put messages on the queue")
def test_every_command_of_the_walk_through_shows_what_the_readme_says(lab: Lab, api: httpx.Client) -> None:
    assert len(walked(lab, drop_id(api), by_hand=True)) == len(EXPECTED)


def test_the_walk_through_needs_nothing_but_http_until_messages_are_sent_by_hand(lab: Lab) -> None:
    shown = walked(lab, f"{README_DROP}-{uuid.uuid4()}", by_hand=False)
    assert len(shown) == sum(not step.is_by_hand for step in steps())


@pytest.mark.own_lab("it kills the lab's Redis")
def test_what_the_readme_breaks_answers_503_and_comes_back(lab: Lab, api: httpx.Client) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", README.split("## Break it")[1].split("\n## ")[0], re.DOTALL)
    breaking, meanwhile, afterwards, asking = (line.removesuffix(" &").partition("; ") for line in block.splitlines())
    with ThreadPoolExecutor() as pool:
        walk_through = WalkThrough(lab.url, sys.executable, drop_id(api), lab.key, lab.queue_options)
        walk_through.run(steps()[0])
        broken = pool.submit(lab.command, *breaking[0].partition("-m lab ")[2].split())
        walk_through.run(Step(meanwhile[2], r"^HTTP/\S+ 503\b.*^retry-after: \d"))
        assert broken.result().endswith("It is back.\n")
        walk_through.run(Step(afterwards[2], r"^HTTP/\S+ 200\b"))
        walk_through.run(Step(asking[0], "Redis"))


def test_every_path_the_readme_names_exists() -> None:
    names = re.findall(r"`([\w./-]+/|[\w./-]+\.(?:py|md|txt|json))`", README) + re.findall(r"\]\((docs/[^)#]+)", README)
    known = {path.name for path in ROOT.rglob("*") if ".venv" not in path.parts}
    assert len(names) > 10
    assert [name for name in names if not (ROOT / name).exists() and Path(name).name not in known] == []
