"""A tab of a headless Chromium, driven by the DevTools protocol. Must never share a profile with another browser."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    "--remote-debugging-port=0",
)
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
PATIENCE_S = 40.0


def find() -> str:
    """The browser of this machine. Without one the test is skipped, or fails if REQUIRE_CHROMIUM is set."""
    if program := next(filter(None, map(shutil.which, NAMES)), None):
        return program
    if os.environ.get("REQUIRE_CHROMIUM"):
        pytest.fail("REQUIRE_CHROMIUM is set and there is no chromium: apt-get install chromium")
    pytest.skip("no chromium on this machine")


@dataclass
class Tab:
    """One page. `errors`: what it logged as an error; `requested`: every address that it asked for."""

    socket: aiohttp.ClientWebSocketResponse
    errors: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    _sent: int = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command. Raises RuntimeError."""
        self._sent += 1
        await self.socket.send_json({"id": self._sent, "method": method, "params": parameters})
        while True:
            shown = await self.socket.receive_json()
            if shown.get("id") == self._sent:
                break
            self._note(shown)
        if "error" in shown:
            raise RuntimeError(f"{method}: {shown['error']}")
        result: dict[str, Any] = shown["result"]
        return result

    async def evaluate(self, script: str) -> Any:
        """The value of an expression. Raises RuntimeError for one that throws."""
        shown = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in shown:
            raise RuntimeError(f"{script}: {shown['exceptionDetails']}")
        return shown["result"].get("value")

    async def until(self, script: str) -> Any:
        """The first true value of an expression. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_S):
            while not (value := await self.evaluate(script)):  # noqa: ASYNC110 - a page has no event for it
                await asyncio.sleep(0.1)
        return value

    def _note(self, event: dict[str, Any]) -> None:
        method, shown = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requested.append(shown["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(shown["exceptionDetails"]))
        elif method == "Log.entryAdded" and shown["entry"]["level"] == "error":
            self.errors.append(f"{shown['entry']['text']} {shown['entry'].get('url', '')}")


@contextlib.asynccontextmanager
async def open_tab(profile: Path) -> AsyncIterator[Tab]:
    """A tab of a browser that finds no host but this machine. `profile`: a folder of its own."""
    process = await asyncio.create_subprocess_exec(
        *(find(), *OPTIONS, OFFLINE, f"--user-data-dir={profile}", "about:blank"), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        port = await _port(profile)
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/json/list") as listed:
            address = next(one for one in await listed.json() if one["type"] == "page")["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Runtime", "Network", "Log"):
                    await tab.call(f"{domain}.enable")
                yield tab
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _port(profile: Path) -> int:
    shown = profile / "DevToolsActivePort"
    async with asyncio.timeout(PATIENCE_S):
        while not (shown.exists() and shown.read_text().strip()):  # noqa: ASYNC110 - Chromium says it in a file alone
            await asyncio.sleep(0.05)
    return int(shown.read_text().split()[0])
