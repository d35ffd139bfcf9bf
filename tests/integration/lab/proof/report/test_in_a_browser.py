"""The pictures in a real browser: nothing is missing, cut off or on top of something else, large and small."""

from __future__ import annotations

import asyncio
import base64
import io
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lab.proof.report import charts
from tests.browser import find, open_tab
from tests.unit.lab.proof.report.outcomes import FAULTS, leaky, ours

WIDTHS = (1200, 500)
STYLE = "figure{margin:1em}svg{width:100%;height:auto}@media (prefers-color-scheme:dark){body{background:#0d1117}}"
CHARTS = 5
SLACK_PX = 1.5  # fonts differ between machines
PROBE = """
const box = (one) => (({x, y, width, height}) => ({x, y, width, height}))(one.getBoundingClientRect());
const texts = (one) => [...one.querySelectorAll("text")].map((text) => ({...box(text), says: text.textContent}));
({
  needed_px: document.documentElement.scrollWidth,
  charts: [...document.querySelectorAll("figure svg")].map((one) => ({...box(one), says: "", texts: texts(one)}))
})
"""


@dataclass
class Box:
    """Something on the page, in px. `texts`: those of a chart."""

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
    """What the browser shows in a window of `width_px`: a page that needs more scrolls sideways."""

    width_px: int
    needed_px: int
    charts: list[Box]
    errors: list[str]
    pictures: dict[str, bytes]  # by day and in the dark, as PNG


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every picture below the other, on the paper that GitHub puts under it."""
    find()
    drawn = charts.draw([leaky(), ours()]) + charts.draw_faults(FAULTS["faults"])
    figures = "".join(f"<figure>{chart.svg}</figure>" for chart in drawn)
    file = tmp_path_factory.mktemp("report") / "index.html"
    file.write_text(f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><body>{figures}</body>')
    return file


@pytest.fixture(scope="module", params=WIDTHS, ids=lambda width: f"{width}px")
def seen(request: pytest.FixtureRequest, page: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return asyncio.run(look(page, request.param, tmp_path_factory.mktemp("profile")))


async def look(page: Path, width: int, profile: Path) -> Seen:
    """Show the page in a window this wide, and measure it."""
    async with open_tab(profile) as tab:
        size = {"width": width, "height": 2400, "deviceScaleFactor": 1, "mobile": False}
        await tab.call("Emulation.setDeviceMetricsOverride", **size)
        await tab.call("Page.navigate", url=page.as_uri())
        await tab.until(f"document.readyState == 'complete' && document.querySelectorAll('svg').length == {CHARTS}")
        measured: dict[str, Any] = await tab.evaluate(PROBE)
        pictures = {}
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            await tab.call("Emulation.setEmulatedMedia", features=features)
            pictures[scheme] = base64.b64decode((await tab.call("Page.captureScreenshot"))["data"])
        found = [Box(**{**one, "texts": [Box(**text) for text in one["texts"]]}) for one in measured["charts"]]
        return Seen(width, measured["needed_px"], found, tab.errors, pictures)


def overlap(one: Box, other: Box) -> bool:
    across = min(one.right, other.right) - max(one.x, other.x)
    down = min(one.bottom, other.bottom) - max(one.y, other.y)
    return across > SLACK_PX and down > SLACK_PX * 2  # a line of text is higher than its letters


def inside(text: Box, chart: Box) -> bool:
    room = (text.x - chart.x, chart.right - text.right, text.y - chart.y, chart.bottom - text.bottom)
    return min(room) > -SLACK_PX


def test_the_browser_has_nothing_to_complain_of(seen: Seen) -> None:
    assert seen.errors == []


def test_every_chart_has_a_size(seen: Seen) -> None:
    assert len(seen.charts) == CHARTS
    assert min(min(chart.width, chart.height) for chart in seen.charts) > 100


def test_no_picture_is_wider_than_the_window(seen: Seen) -> None:
    assert seen.needed_px <= seen.width_px


def test_no_text_of_a_chart_is_cut_off(seen: Seen) -> None:
    cut = [text.says for chart in seen.charts for text in chart.texts if not inside(text, chart)]
    assert cut == []


def test_no_text_of_a_chart_lies_on_another(seen: Seen) -> None:
    pairs = [pair for chart in seen.charts for pair in combinations(chart.texts, 2)]
    assert len(pairs) > CHARTS
    assert [(one.says, other.says) for one, other in pairs if overlap(one, other)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_is_not_blank(seen: Seen, scheme: str) -> None:
    with Image.open(io.BytesIO(seen.pictures[scheme])) as picture:
        shades = picture.convert("L").histogram()
    assert picture.width == seen.width_px
    assert sum(pixels > 0 for pixels in shades) > 100
    assert max(shades) < 0.95 * sum(shades)
    dark = sum(shades[:64]) > sum(shades) / 2
    assert dark == (scheme == "dark")
