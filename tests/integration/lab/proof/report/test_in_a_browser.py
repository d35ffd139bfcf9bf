"""The pictures in a real browser: nothing is missing, cut off or on top of something else, large and small."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image

from lab.proof.report import charts
from tests.integration.lab.proof.report.browser import Box, Browser, Seen, find
from tests.unit.lab.proof.report.outcomes import FAULTS, leaky, ours

WIDTHS = (1200, 500)
STYLE = "figure{margin:1em}svg{width:100%;height:auto}@media (prefers-color-scheme:dark){body{background:#0d1117}}"
DARK = "--blink-settings=preferredColorScheme=0"
CHARTS = 5
SLACK_PX = 1.5  # fonts differ between machines


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return find(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every picture below the other, on the paper that GitHub puts under it."""
    drawn = charts.draw([leaky(), ours()]) + charts.draw_faults(FAULTS["faults"])
    figures = "".join(f"<figure>{chart.svg}</figure>" for chart in drawn)
    file = tmp_path_factory.mktemp("report") / "index.html"
    file.write_text(f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><body>{figures}</body>')
    return file


@pytest.fixture(scope="module", params=WIDTHS, ids=lambda width: f"{width}px")
def seen(request: pytest.FixtureRequest, browser: Browser, page: Path) -> Seen:
    return browser.measure(page, request.param)


def overlap(one: Box, other: Box) -> bool:
    across = min(one.right, other.right) - max(one.x, other.x)
    down = min(one.bottom, other.bottom) - max(one.y, other.y)
    return across > SLACK_PX and down > SLACK_PX * 2  # a line of text is higher than its letters


def inside(text: Box, chart: Box) -> bool:
    room = (text.x - chart.x, chart.right - text.right, text.y - chart.y, chart.bottom - text.bottom)
    return min(room) > -SLACK_PX


def test_the_console_stays_silent(seen: Seen) -> None:
    assert len(seen.console) == 1
    assert "the probe ran" in seen.console[0]


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


@pytest.mark.parametrize("options", [[], [DARK]], ids=["by day", "in the dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_picture_is_not_blank(browser: Browser, page: Path, width: int, options: list[str]) -> None:
    with Image.open(browser.screenshot(page, width, *options)) as picture:
        shades = picture.convert("L").histogram()
    assert picture.width == width
    assert sum(pixels > 0 for pixels in shades) > 100
    assert max(shades) < 0.95 * sum(shades)
