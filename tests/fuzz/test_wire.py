"""Hostile requests as bytes on a socket: never a 5xx, nothing written by a refused one, no memory kept."""

from __future__ import annotations

import itertools

import psutil
import pytest
from hypothesis import given, settings
from hypothesis.database import InMemoryExampleDatabase

from tests.fuzz.conftest import KEY, REQUESTS
from tests.fuzz.hostile import Request, requests
from tests.fuzz.wire import Heard, send
from tests.fuzz.witness import Witness
from tests.running_lab import Lab

ROUND = 1250  # divides the 100,000 of `make fuzz`
ROUNDS = max(1, REQUESTS // ROUND)
GROWTH_MIB = 32  # a leak of a mere kilobyte per request would be 100 MiB in `make fuzz`
FULL_LENGTH = pytest.mark.timeout(600)
WARM_UP = 400

pytestmark = FULL_LENGTH


def get(path: str, key: str = KEY) -> Request:
    return Request(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-functions-key: {key}\r\n\r\n".encode(), False
    )


def rss_mib(lab: Lab) -> float:
    return float(psutil.Process(lab.pids["app"]).memory_info().rss) / 2**20


def check(lab: Lab, witness: Witness, request: Request) -> Heard:
    """Send it; what every answer to a hostile request has to keep."""
    before = witness.changes()
    heard = send(lab.url, request)
    assert [status for status in heard.statuses if status >= 500] == [], heard.raw
    if 202 in heard.statuses:
        assert heard.location is not None
        assert heard.location.startswith("/api/drops/")
        witness.settle(heard.location)
    if all(status >= 400 for status in heard.statuses):
        assert witness.changes() == before, heard.raw
    return heard


@pytest.fixture(scope="module")
def warm_mib(lab: Lab) -> float:
    """The app's memory once it has served a little of everything, in MiB."""
    paths = ("/api/drops/open", "/api/drops/nowhere", "/api/drops/%00", "/api/openapi.json", "/api/health/ready", "/x")
    for path in itertools.islice(itertools.cycle(paths), WARM_UP):
        send(lab.url, get(path))
    return rss_mib(lab)


@pytest.fixture(scope="module")
def met() -> set[int]:
    """Every status that a hostile request was answered with."""
    return set()


@pytest.mark.parametrize("host", [b"[", b"a/b", b"a?b#c", b"", b"\xff"])
def test_an_odd_host_header_neither_breaks_an_order_nor_bends_its_location(
    lab: Lab, witness: Witness, host: bytes
) -> None:
    head = b"POST /api/drops/open/orders HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nIdempotency-Key: k\r\n" % host
    head += b"x-functions-key: %s\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n" % KEY.encode()
    heard = check(lab, witness, Request(head + b'{"customer_id": "ann", "quantity":1}', ends=False))
    assert heard.statuses in ([200], [202], [400])


@pytest.mark.parametrize("number", range(1, ROUNDS + 1))
def test_a_hostile_request_is_never_a_5xx_and_a_refused_one_writes_nothing(
    lab: Lab, witness: Witness, warm_mib: float, met: set[int], number: int
) -> None:
    @settings(max_examples=ROUND, database=InMemoryExampleDatabase())
    @given(requests(KEY))
    def one(request: Request) -> None:
        met.update(check(lab, witness, request).statuses)

    one()


def test_among_the_answers_were_those_of_the_app_and_of_the_host(lab: Lab, witness: Witness, met: set[int]) -> None:
    head = b"POST /api/drops/open/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIdempotency-Key: k\r\n"
    head += b"x-functions-key: %s\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n" % KEY.encode()
    met.update(check(lab, witness, Request(head + b"{}", ends=False)).statuses)  # a short run may meet no 415 by chance
    assert {201, 202, 400, 401, 404, 409, 415} <= met


def test_refused_requests_leave_every_key_as_it_was(lab: Lab, witness: Witness) -> None:
    before = witness.contents()

    @settings(max_examples=100, database=None)
    @given(requests("wrong"))
    def one(request: Request) -> None:
        home = {200} if b".." in request.raw.replace(b"%2e", b".") else set()  # needs no key
        assert {400, 401, 404} | home >= set(send(lab.url, request).statuses)

    one()
    assert witness.contents() == before
    assert len(before) > 3


def test_after_all_that_the_app_has_kept_no_memory(lab: Lab, warm_mib: float) -> None:
    assert rss_mib(lab) < warm_mib + GROWTH_MIB


def test_after_all_that_the_app_answers_as_before(lab: Lab) -> None:
    assert send(lab.url, get("/api/health/ready")).statuses == [200]
