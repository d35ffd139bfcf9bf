"""What the host itself answers, and what a refused request gets over the wire."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.conftest import KEY
from tests.running_lab import Lab
from tests.waiting import wait_until

PROTECTED = (
    ("PUT", "/drops/d"),
    ("GET", "/drops/d"),
    ("POST", "/drops/d/orders"),
    ("GET", "/drops/d/orders/o"),
)


@pytest.mark.own_lab("its key is known, and enforced")
@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_every_function_but_the_health_checks_and_the_document_demands_its_key(
    keyed_lab: Lab, method: str, path: str
) -> None:
    url = f"{keyed_lab.url}/api{path}"
    assert httpx.request(method, url).status_code == 401
    assert httpx.request(method, url, headers={"x-functions-key": "wrong"}).status_code == 401
    assert httpx.request(method, url, headers={"x-functions-key": KEY}).status_code != 401


@pytest.mark.own_lab("its key is enforced")
@pytest.mark.parametrize("path", ["/health", "/health/ready", "/openapi.json"])
def test_the_health_checks_and_the_document_are_open_to_anyone(keyed_lab: Lab, path: str) -> None:
    assert httpx.get(f"{keyed_lab.url}/api{path}").status_code == 200


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/drops/d"), ("GET", "/nothing"), ("HEAD", "/drops/d")])
def test_an_unknown_route_or_method_is_the_hosts_empty_404(api: httpx.Client, method: str, path: str) -> None:
    answer = api.request(method, path)
    assert (answer.status_code, answer.content) == (404, b"")


def test_a_body_over_16_kib_is_413_and_changes_nothing(api: httpx.Client, drop_id: str) -> None:
    body = b'{"stock": 1, "per_customer": 1}' + b" " * 16 * 1024
    answer = api.put(f"/drops/{drop_id}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert api.get(f"/drops/{drop_id}").status_code == 404


def test_another_content_type_is_415(api: httpx.Client, drop_id: str) -> None:
    answer = api.put(f"/drops/{drop_id}", content=b"stock=1", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


@pytest.mark.this_machine(
    "it speaks to the socket, without TLS; what Azure's front end makes of such a body is not known"
)
def test_a_chunked_body_arrives_empty_and_is_a_400_that_says_so(lab: Lab, drop_id: str) -> None:
    address = urlsplit(lab.url)
    with socket.create_connection((str(address.hostname), int(address.port or 80)), timeout=10) as connection:
        connection.sendall(
            f"PUT /api/drops/{drop_id} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
            + "".join(f"{name}: {value}\r\n" for name, value in lab.headers.items()).encode()
            + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            + b'1f\r\n{"stock": 1, "per_customer": 1}\r\n0\r\n\r\n'
        )
        answer = b""
        while received := connection.recv(65536):
            answer += received
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"Content-Length" in answer


@pytest.mark.own_lab("it reads the host's log")
def test_a_dead_letter_keeps_its_reason_in_the_log(keyed_lab: Lab) -> None:
    keyed_lab.command("enqueue", '{"order_id": "lost", "drop_id": "no-such-drop", "customer_id": "ada", "quantity": 1}')
    wait_until(lambda: "lost" in keyed_lab.command("dead-letters"))
    assert "order lost: there is no drop no-such-drop" in keyed_lab.log()
