"""The HTTP front of a fleet: one address, each request to the instance of the HTTP group that has least to do.

It holds nothing back and repeats nothing: a request whose instance is frozen or gone is answered 503 here, once.
"""

from __future__ import annotations

import asyncio
import random

import aiohttp
from aiohttp import web
from yarl import URL

from lab.proof.fleet.fleet import Fleet, Instance
from lab.proof.fleet.instance import HOST, Group

INSTANCE_S = 10.0  # how long an instance may take; the app itself promises an answer within 3 s
SUSPECT_S = 5.0  # an instance that did not answer is left alone for so long
MOST_WAITING = 5000  # requests in the front at a time; past it 503
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade", "host"})
RETRY_AFTER_S = (1, 3)


class Front:
    """`async with Front(fleet) as front:` serves on `front.url`. `waiting`: requests without an answer now."""

    def __init__(self, fleet: Fleet, *, instance_s: float = INSTANCE_S) -> None:
        self._fleet = fleet
        self._instance_s = instance_s
        self._turn = 0
        self.waiting = 0
        self.url = ""

    async def __aenter__(self) -> Front:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self._instance_s),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0, backlog=4096).start()
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        instance = self._choose()
        if instance is None or self.waiting >= MOST_WAITING:
            return _unavailable()
        self.waiting += 1
        instance.waiting += 1
        try:
            return await self._forward(request, instance)
        except TimeoutError:
            instance.suspect_until = asyncio.get_running_loop().time() + SUSPECT_S
            return _unavailable()
        except aiohttp.ClientError:
            return _unavailable()
        finally:
            self.waiting -= 1
            instance.waiting -= 1

    def _choose(self) -> Instance | None:
        """The one with the fewest requests; the next in turn among equals; a suspect only where all are."""
        serving = self._fleet.of(Group.HTTP)
        now = asyncio.get_running_loop().time()
        sound = [instance for instance in serving if instance.suspect_until < now] or serving
        if not sound:
            return None
        self._turn += 1
        start = self._turn % len(sound)
        return min(sound[start:] + sound[:start], key=lambda instance: instance.waiting)

    async def _forward(self, request: web.BaseRequest, instance: Instance) -> web.Response:
        body = await request.read() if request.body_exists else None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = URL(instance.base_url + request.raw_path, encoded=True)
        async with self._client.request(
            request.method, url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, headers=passed, body=await answer.read())


def _unavailable() -> web.Response:
    return web.Response(status=503, headers={"Retry-After": str(random.randint(*RETRY_AFTER_S))})  # noqa: S311 - jitter
