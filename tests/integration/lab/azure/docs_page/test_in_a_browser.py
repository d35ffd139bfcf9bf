"""The page /docs as a person uses it: open, give the key, expand an operation, execute an order, see 202."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from blueprints.web.operations import OPERATIONS
from tests.browser import Tab, find, open_tab
from tests.running_lab import Lab, running_lab

KEY = "k-for-the-page"
ORDER = "document.querySelector('#operations-orders-place_order')"
SHOWN = "document.querySelectorAll('.opblock').length"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    find()  # without a browser no lab is started
    with running_lab(tmp_path_factory.mktemp("lab"), "--key", KEY) as lab:
        drop = {"stock": 5, "per_customer": 4}
        httpx.put(f"{lab.url}/api/drops/demo", json=drop, headers={"x-functions-key": KEY}).raise_for_status()
        yield lab


@pytest.fixture
async def tab(lab: Lab, tmp_path: Path) -> AsyncIterator[Tab]:
    async with open_tab(tmp_path) as tab:
        await tab.call("Page.navigate", url=f"{lab.url}/docs")
        await tab.until(SHOWN)
        yield tab


async def click(tab: Tab, button: str) -> None:
    """Click what an expression finds, once it is there."""
    await tab.until(f"({button}) && (({button}).click(), true)")


async def execute(tab: Tab) -> str:
    """Expand the operation that places an order, and execute it as it is filled in; the status shown."""
    await click(tab, f"{ORDER}.querySelector('.opblock-summary-control')")
    await tab.until(f"[...{ORDER}.querySelectorAll('.parameters input')].map(one => one.value).join() == 'demo,first'")
    await click(tab, f"{ORDER}.querySelector('.btn.execute')")
    return str(
        await tab.until(f"{ORDER}.querySelector('.live-responses-table .response .response-col_status')?.innerText")
    )


async def test_an_order_executed_on_the_page_is_answered_202(tab: Tab) -> None:
    await tab.evaluate(f"void ui.preauthorizeApiKey('key', '{KEY}')")
    assert (await execute(tab)).startswith("202")
    shown = await tab.evaluate(f"{ORDER}.querySelector('.live-responses-table').innerText")
    assert '"status": "queued"' in shown
    assert "location: /api/drops/demo/orders/" in shown
    assert tab.errors == []


async def test_without_the_key_the_page_shows_the_hosts_401(tab: Tab) -> None:
    assert (await execute(tab)).startswith("401")


async def test_every_operation_is_shown_and_nothing_is_loaded_from_elsewhere(tab: Tab, lab: Lab) -> None:
    assert await tab.evaluate(SHOWN) == len(OPERATIONS)
    assert await tab.evaluate("document.querySelectorAll('.errors-wrapper').length") == 0
    own = urlsplit(lab.url).netloc
    assert {urlsplit(url).netloc for url in tab.requested if not url.startswith(("data:", "blob:"))} == {own}
