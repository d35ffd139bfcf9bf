"""The page /docs over HTTP: what it serves, that it needs no network, and that every other path stays the app's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import azure.functions as func
import pytest

from lab.azure.functions_host import HostConfig
from lab.azure.functions_host.docs_page import ASSETS
from lab.azure.functions_host.host_json import HttpOptions
from tests.integration.lab.azure.hosting import Served, serving


def described(level: func.AuthLevel = func.AuthLevel.ANONYMOUS) -> func.FunctionApp:
    """An app with a document and one more function."""
    app = func.FunctionApp()

    @app.route("openapi.json", methods=["GET"], auth_level=level)
    def openapi(req: func.HttpRequest) -> str:
        return "{}"

    @app.route("{any}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
    def other(req: func.HttpRequest) -> str:
        return f"the app's {req.route_params['any']}"

    return app


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(described(), docs=True) as running:
        yield running


async def test_the_page_loads_only_what_the_host_serves_and_forbids_the_rest(served: Served) -> None:
    page = await served.http.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert {path.removeprefix("/docs/") for path in loaded} == {*ASSETS, "start.js"}
    assert [(await served.http.get(path)).status_code for path in loaded] == [200] * len(loaded)


async def test_the_page_shows_the_document_under_the_hosts_prefix() -> None:
    async with serving(described(), config=HostConfig(http=HttpOptions("shop")), docs=True) as served:
        assert '"/shop/openapi.json"' in (await served.http.get("/docs/start.js")).text


@pytest.mark.parametrize(("method", "path"), [("POST", "/docs"), ("GET", "/docs/"), ("GET", "/docs/../host.py")])
async def test_what_is_not_the_page_is_not_found(served: Served, method: str, path: str) -> None:
    assert (await served.http.request(method, path)).status_code == 404


async def test_the_apps_own_paths_stay_its_own(served: Served) -> None:
    assert (await served.http.get("/api/docs")).text == "the app's docs"


@pytest.mark.parametrize("level", [func.AuthLevel.FUNCTION, None])
async def test_without_a_document_for_everybody_there_is_no_page(level: func.AuthLevel | None) -> None:
    app = func.FunctionApp() if level is None else described(level)
    async with serving(app, docs=True) as served:
        assert (await served.http.get("/docs")).status_code == 404


async def test_an_instance_of_a_fleet_has_no_page() -> None:
    async with serving(described()) as served:
        assert (await served.http.get("/docs")).status_code == 404


async def test_the_root_leads_to_the_page(served: Served) -> None:
    answer = await served.http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/docs")
    assert (await served.http.post("/")).status_code == 200  # as on the real host


async def test_without_a_prefix_the_root_does_not_lead_there() -> None:
    async with serving(described(), config=HostConfig(http=HttpOptions("")), docs=True) as own:
        assert (await own.http.get("/")).status_code == 200
