"""The source of a tiny app for fleets: it says which process answers, and holds what it is asked to hold.

`held` is released by RPUSH to `release`; before that it says its process id by RPUSH to `begun`.
"""

from __future__ import annotations

from pathlib import Path

SOURCE = """
import json
import os
import sys

import azure.functions as func
from redis.asyncio import Redis

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
redis = Redis.from_url(os.environ["REDIS_URL"])


async def hold() -> str:
    await redis.rpush("begun", os.getpid())
    await redis.blpop("release", timeout=50)
    return str(os.getpid())


@app.route(route="who")
async def who(req: func.HttpRequest) -> str:
    return str(os.getpid())


@app.route(route="held")
async def held(req: func.HttpRequest) -> str:
    return await hold()


@app.route(route="modules")
async def modules(req: func.HttpRequest) -> str:
    return json.dumps(sorted(sys.modules))


@app.route(route="echo/{name}")
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {"method": req.method, "name": req.route_params["name"], "query": dict(req.params)}
    seen |= {"body": req.get_body().decode(), "key": req.headers.get("x-key")}
    return func.HttpResponse(json.dumps(seen), status_code=418, headers={"Location": "/there"})


@app.service_bus_queue_trigger(arg_name="message", queue_name="orders", connection="ServiceBusConnection")
async def fulfil(message: func.ServiceBusMessage) -> None:
    await redis.rpush("taken", os.getpid())
    if message.get_body() == b"hold":
        await hold()
"""
HOST_JSON = '{"version": "2.0"}'


def write_app(folder: Path) -> Path:
    """The app, in its folder."""
    (folder / "function_app.py").write_text(SOURCE)
    (folder / "host.json").write_text(HOST_JSON)
    return folder
