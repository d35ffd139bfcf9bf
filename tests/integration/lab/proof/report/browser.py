"""A headless Chromium, driven by its own command line. Its profile is its own: another browser may run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
PROBE = """
<pre id="probe"></pre>
<script>
const box = (one) => (({x, y, width, height}) => ({x, y, width, height}))(one.getBoundingClientRect());
const texts = (one) => [...one.querySelectorAll("text")].map((text) => ({...box(text), says: text.textContent}));
console.log("the probe ran");
document.getElementById("probe").textContent = JSON.stringify({
  width_px: document.documentElement.clientWidth,
  needed_px: document.documentElement.scrollWidth,
  charts: [...document.querySelectorAll("figure svg")].map(
    (one) => ({...box(one), says: one.getAttribute("aria-label"), texts: texts(one)}))
});
</script>
</body>"""


@dataclass
class Box:
    """Something on the page, in px. `says`: its text, or what it shows in words. `texts`: those of a chart."""

    x: float
    y: float
    width: float
    height: float
    says: str
    texts: list[Box] = field(default_factory=list)

    @property
    def right(self) -> float:
        """The far edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + self.height


@dataclass
class Seen:
    """What the probe measured. `needed_px`: a page wider than `width_px` scrolls sideways.

    `console`: what the browser had to say, the probe's own word included.
    """

    width_px: int
    needed_px: int
    charts: list[Box]
    console: list[str]


@dataclass
class Browser:
    """`program`: Chromium. `profile`: a folder of its own."""

    program: str
    profile: Path

    def measure(self, page: Path, width: int, *options: str) -> Seen:
        """Shows a copy of the page, which measures itself, in a window this wide."""
        copy = page.with_name(f"probe-{width}.html")
        copy.write_text(page.read_text().replace("</body>", PROBE))
        ended = self._run(copy, width, "--dump-dom", "--enable-logging=stderr", "--v=0", *options)
        found = re.search(r'<pre id="probe">(.*?)</pre>', ended.stdout, re.DOTALL)
        assert found, ended.stderr
        measured = json.loads(unescape(found[1]))
        charts = [Box(**{**one, "texts": [Box(**text) for text in one["texts"]]}) for one in measured.pop("charts")]
        return Seen(**measured, charts=charts, console=re.findall(r"CONSOLE.*", ended.stderr))

    def screenshot(self, page: Path, width: int, *options: str) -> Path:
        """A picture of the page's first screen."""
        picture = page.with_name(f"page-{width}.png")
        self._run(page, width, f"--screenshot={picture}", *options)
        return picture

    def _run(self, page: Path, width: int, *options: str) -> subprocess.CompletedProcess[str]:
        mode = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        where = [f"--user-data-dir={self.profile}", f"--window-size={width},2400", page.as_uri()]
        return subprocess.run(
            [self.program, *mode, *options, *where], capture_output=True, text=True, check=True, timeout=50
        )


def find(profile: Path) -> Browser:
    """The browser of this machine. Without one the test is skipped, or fails if REQUIRE_CHROMIUM is set."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program:
        return Browser(program, profile)
    if os.environ.get("REQUIRE_CHROMIUM"):
        pytest.fail("REQUIRE_CHROMIUM is set and there is no chromium: apt-get install chromium")
    pytest.skip("no chromium on this machine")
