"""HTTP over a real socket: what the recorded requests in `real_host` do not show."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import azure.functions as func
import pytest

from lab.azure.functions_host import HostConfig
from lab.azure.functions_host.host_json import HttpOptions
from tests.integration.lab.azure.hosting import MASTER, Served, serving

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

    @app.route(route="fails", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def fails(req: func.HttpRequest) -> str:
        raise RuntimeError("out of tickets")

    return app


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(shop(), key=KEY, settings={"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": str(LIMIT)}) as running:
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


async def test_a_body_at_the_limit_is_served_and_one_above_is_500(served: Served) -> None:
    assert len((await served.http.post("/api/echo", content=b"x" * LIMIT)).json()["body"]) == LIMIT
    above = await served.http.post("/api/echo", content=b"x" * (LIMIT + 1))
    assert (above.status_code, above.content) == (500, b"")


LINE, HEADERS = b"GET /api/echo/%b HTTP/1.1\r\n", b"Host: x\r\n%b\r\n"


@pytest.mark.parametrize(
    ("line", "header", "status"),
    [
        (8192, b"", 200),
        (8193, b"", 414),
        (100, b"X-Probe: %b\r\n" % (b"x" * (32 * 1024 - 22)), 200),
        (100, b"X-Probe: %b\r\n" % (b"x" * (32 * 1024 - 21)), 431),
        (100, b"X-Probe: 1\r\n" * 99, 200),
        (100, b"X-Probe: 1\r\n" * 100, 431),
    ],
    ids=["8 KB", "longer line", "32 KB of headers", "more", "100 headers", "101"],
)
async def test_a_head_over_a_limit_is_refused_without_a_body_and_the_connection_ends(
    unlocked: Served, line: int, header: bytes, status: int
) -> None:
    head = LINE % (b"x" * (line - len(LINE % b""))) + HEADERS % header
    ending = b"" if status != 200 else b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    told = await unlocked.raw(head + ending)
    assert told.startswith(b"HTTP/1.1 %d " % status)
    assert status == 200 or told.endswith(b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("request_line", "header", "status"),
    [
        ("GET http://other/api/echo", "", 400),
        ("GET api/echo", "", 400),
        ("\r\n\r\nGET /api/echo", "", 200),
        ("GET /api/echo", "Transfer-Encoding: gzip", 400),
        ("GET /api/echo", "Content-Length: 0, 0", 400),
        ("GET /api/echo", f"Content-Length: {2**63}", 400),
        *[("GET /api/echo", f"Host: {host}", 400) for host in ("a:b", "a,b", ":80", "u@h")],
        *[("GET /api/echo", f"Host: {host}", 200) for host in ("a_b", "", "[::1]:80")],
    ],
)
async def test_a_request_that_kestrel_refuses_is_400(
    unlocked: Served, request_line: str, header: str, status: int
) -> None:
    headers = [header] if header.startswith("Host") else ["Host: x", *filter(None, [header])]
    told = await unlocked.raw("\r\n".join([f"{request_line} HTTP/1.1", *headers, "Connection: close", "", ""]).encode())
    assert told.startswith(b"HTTP/1.1 %d " % status)


async def test_a_length_beside_chunks_is_called_x_content_length(unlocked: Served) -> None:
    head = b"POST /api/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\nTransfer-Encoding: chunked"
    assert b'"x-content-length": "3"' in await unlocked.raw(head + b"\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(("setting", "status"), [("TRUE", 204), ("1", 200)])
async def test_a_setting_takes_the_homepage_away(setting: str, status: int) -> None:
    async with serving(shop(), settings={"AzureWebJobsDisableHomepage": setting}) as running:
        answer = await running.http.get("/")
        assert (answer.status_code, answer.text != "") == (status, status == 200)


async def test_a_disabled_function_keeps_its_route_and_answers_404_to_all_but_the_master_key() -> None:
    async with serving(shop(), key=KEY, settings={"AzureWebJobs.guarded.Disabled": "1"}) as running:
        given = [await running.http.get("/api/guarded", headers={"x-functions-key": k}) for k in ("", KEY, MASTER)]
    assert [answer.status_code for answer in given] == [401, 404, 200]


async def test_a_header_of_host_json_is_added_where_the_function_set_none_of_that_name() -> None:
    config = HostConfig(http=HttpOptions(custom_headers={"x-kept-case": "no", "X-Added": "yes"}))
    async with serving(shop(), config=config) as running:
        headers = (await running.http.get("/api/echo")).headers
    assert (headers.get_list("x-kept-case"), headers["x-added"]) == (["Yes"], "yes")


async def test_a_request_too_many_is_429_wherever_it_goes() -> None:
    async with serving(shop(), config=HostConfig(http=HttpOptions(max_outstanding=0))) as running:
        answer = await running.http.get("/api/nowhere")
    assert (answer.status_code, answer.headers["x-function-scaleout"], answer.content) == (429, "1", b"")


async def test_a_client_that_leaves_in_the_middle_of_its_body_calls_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()
    with caplog.at_level(logging.INFO, "host"):
        assert (await served.http.get("/")).status_code == 200
    assert "Functions.echo" not in caplog.text


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
