"""Apps of other kinds than ours: ASGI, WSGI, and a timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import azure.functions as func
import pytest

from lab.azure.functions_host import HostConfig
from lab.azure.functions_host.function_index import HostStartError
from lab.azure.functions_host.host_json import HttpOptions
from tests.integration.lab.azure.hosting import serving

BARE = HostConfig(http=HttpOptions(route_prefix=""))


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
    else:
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-kind", b"asgi")]})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


def wsgi(environment: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
    begin("201 Created", [("x-kind", "wsgi")])
    return [environment["PATH_INFO"].encode()]


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
async def test_a_whole_web_app_is_one_function(kind: str) -> None:
    level = func.AuthLevel.ANONYMOUS
    app = func.AsgiFunctionApp(asgi, level) if kind == "asgi" else func.WsgiFunctionApp(wsgi, level)
    async with serving(app, config=BARE) as served:
        answer = await served.http.get("/any/where")
        assert [function.name for function in served.host.index.http] == ["http_app_func"]
    setattr(app, "startup_task_done", False)  # noqa: B010 - or its __del__ would run a loop inside this one
    assert (answer.status_code, answer.text, answer.headers["x-kind"]) == (201, "/any/where", kind)


async def test_its_route_wants_an_empty_prefix_as_on_the_real_host() -> None:
    with pytest.raises(HostStartError, match="empty segment"):
        async with serving(func.AsgiFunctionApp(asgi)):
            pass


async def test_a_timer_runs_at_start_and_when_it_is_fired_by_hand() -> None:
    app, ran = func.FunctionApp(), asyncio.Queue[bool]()

    @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer", run_on_startup=True)
    async def tick(timer: func.TimerRequest) -> None:
        ran.put_nowait(timer.past_due)

    async with serving(app, key="host-key") as served, asyncio.timeout(30):
        assert await ran.get() is False
        assert (await served.http.post("/admin/functions/TICK")).status_code == 401
    async with serving(app_again(ran)) as served, asyncio.timeout(30):
        assert (await served.http.post("/admin/functions/tock")).status_code == 202
        assert await ran.get() is False


def app_again(ran: asyncio.Queue[bool]) -> func.FunctionApp:
    app = func.FunctionApp()

    @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
    def tock(timer: func.TimerRequest) -> None:
        ran.put_nowait(timer.past_due)

    return app
