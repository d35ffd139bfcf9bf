"""HTTP over a real socket: what the recorded requests in `real_host` do not show."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator

import azure.functions as func
import pytest

from lab.azure.functions_host import HostConfig
from tests.integration.lab.azure.hosting import Served, serving

KEY = "s3cret-key"
LIMIT = 1000


def shop() -> func.FunctionApp:
    """An app that says what reached it."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

    @app.route(route="echo/{id?}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
    async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        seen = {
            "method": req.method,
            "url": req.url,
            "route": dict(req.route_params),
            "query": dict(req.params),
            "headers": dict(req.headers),
            "body": req.get_body().decode(),
            "trace_parent": context.trace_context.trace_parent,
            "function": context.function_name,
            "invocation": context.invocation_id,
            "retries": context.retry_context.retry_count,
        }
        return func.HttpResponse(json.dumps(seen), mimetype="application/json", headers={"X-Kept-Case": "Yes"})

    @app.route(route="guarded", methods=["GET"])
    def guarded(req: func.HttpRequest) -> str:
        return "inside"

    @app.route(route="master", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
    def master(req: func.HttpRequest) -> str:
        return "inside"

    @app.route(route="thread", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def thread(req: func.HttpRequest, context: func.Context) -> str:
        same = getattr(context.thread_local_storage, "invocation_id", "") == context.invocation_id
        return f"{threading.current_thread() is threading.main_thread()} {same}"

    @app.route(route="fails", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def fails(req: func.HttpRequest) -> str:
        raise RuntimeError("out of tickets")

    @app.route(route="odd", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def odd(req: func.HttpRequest):  # type: ignore[no-untyped-def]
        return 1

    return app


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(shop(), key=KEY, max_body=LIMIT) as running:
        yield running


@pytest.fixture
async def unlocked() -> AsyncIterator[Served]:
    async with serving(shop()) as running:
        yield running


@pytest.mark.parametrize("path", ["/api/guarded", "/api/master"])
async def test_without_a_key_given_to_the_host_no_key_is_asked_for(unlocked: Served, path: str) -> None:
    assert (await unlocked.http.get(path)).text == "inside"


async def test_the_context_carries_the_callers_trace_if_there_is_one(unlocked: Served) -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    seen = (await unlocked.http.get("/api/echo", headers={"traceparent": parent})).json()
    assert (seen["trace_parent"], seen["function"], seen["retries"]) == (parent, "echo", 0)
    new = (await unlocked.http.get("/api/echo", headers={"traceparent": "nonsense"})).json()
    assert new["trace_parent"] == ""
    assert new["invocation"] != seen["invocation"]


async def test_a_body_at_the_limit_is_served(served: Served) -> None:
    assert len((await served.http.post("/api/echo", content=b"x" * LIMIT)).json()["body"]) == LIMIT


async def test_a_client_that_leaves_in_the_middle_of_its_body_calls_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()
    with caplog.at_level(logging.INFO, "host"):
        assert (await served.http.get("/api/thread")).status_code == 200
    assert "Functions.echo" not in caplog.text


async def test_a_sync_function_runs_in_a_thread_that_knows_its_invocation(unlocked: Served) -> None:
    assert (await unlocked.http.get("/api/thread")).text == "False True"


@pytest.mark.parametrize("path", ["/api/fails", "/api/odd"])
async def test_an_error_is_500_with_an_empty_body_and_is_in_the_log(
    served: Served, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    answer = await served.http.get(path)
    assert (answer.status_code, answer.content) == (500, b"")
    assert "out of tickets" in caplog.text or "cannot return the type int" in caplog.text


async def test_a_traceback_starts_in_the_function(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    await served.http.get("/api/fails")
    assert "in fails" in caplog.text
    assert "_bounded" not in caplog.text


async def test_a_call_is_logged_as_the_host_does_without_key_query_or_header(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "host"):
        await served.http.get(f"/api/guarded?code={KEY}&customer=alice", headers={"x-secret": "hush"})
    began, ended = (record.getMessage() for record in caplog.records if record.name == "host")
    assert began.startswith("Executing 'Functions.guarded' (Reason='This function was programmatically called")
    assert ended.startswith("Executed 'Functions.guarded' (Succeeded, Id=")
    assert not any(word in caplog.text for word in (KEY, "alice", "hush"))


async def test_a_function_over_its_time_out_is_500() -> None:
    app = func.FunctionApp()

    @app.route(route="slow")
    async def slow(req: func.HttpRequest) -> str:
        await asyncio.sleep(60)
        return ""

    async with serving(app, config=HostConfig(function_timeout_s=0.05)) as running:
        assert (await running.http.get("/api/slow")).status_code == 500
