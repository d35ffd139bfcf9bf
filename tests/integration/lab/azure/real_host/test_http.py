"""Half of the raw requests sent to the real host, sent to the lab's: the same answers, but for a list with reasons."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Iterator
from http.cookies import Morsel
from operator import itemgetter
from typing import Any

import pytest

from lab.azure.service_bus import Broker, QueueConfig
from tests.integration.lab.azure.real_host.hosts import RunningHost, host, write_probe
from tests.integration.lab.azure.real_host.recorded_cases import judge, lines, on_purpose
from tests.integration.lab.azure.real_host.wire import ANSWER_S, SILENCE_S, exchange, replace

THREADS_OWN = "ctxvars 2"  # what a function left behind shows where the same thread is free again: chance, with others
CASES = [case for case in lines("http.jsonl") if case["id"] != THREADS_OWN]
SETS = {name: list(cases) for name, cases in itertools.groupby(CASES, itemgetter("set"))}
SERVERS_OWN = ("date", "server")


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    folder = tmp_path_factory.mktemp("probe") / "app"
    write_probe(folder)
    queues = {f"q{number}": QueueConfig() for number in range(1, 10)}
    with Broker(queues) as broker:
        settings = {"ServiceBusConnection": broker.connection_string, "Q9NAME": "q9"}
        with host(folder, {**settings, "PROBE_OUT": str(folder.with_suffix(".out"))}) as running:
            assert running.port, running.child.tail()
            yield running


@pytest.mark.parametrize("name", SETS)
async def test_a_request_is_answered_as_the_real_host_answers_it(name: str, probe: RunningHost) -> None:
    listed = on_purpose("http") | since_the_recording()
    found = await asyncio.gather(*(judged(case, probe, case["id"] in listed) for case in SETS[name]))
    differences = {case["id"]: difference for case, difference in zip(SETS[name], found, strict=True) if difference}
    judge("http", differences, {case["id"] for case in SETS[name]}, listed)


async def judged(case: dict[str, Any], probe: RunningHost, listed: bool) -> str:
    """The difference of one case, on a connection of its own. One that is listed need not be waited for."""
    done = await exchange(probe.port, case, probe.names)
    found = difference(case, done.answers, probe.names)
    after = case["answers"][-1].get("after")
    if not found and after and after != await done.after(after, SILENCE_S if listed else ANSWER_S):
        found = f"the connection is not {after}"
    done.writer.close()
    with contextlib.suppress(OSError):
        await done.writer.wait_closed()
    return found


def since_the_recording() -> dict[str, str]:
    """What this Python does otherwise than the 3.11.7 of the recorded answers: case -> reason."""
    changed = {}
    with contextlib.closing(asyncio.new_event_loop()) as loop, contextlib.suppress(TypeError):
        loop.create_future().set_exception(StopIteration())
        changed["raise sync stopiter"] = "a future takes a StopIteration, so the answer is 500 and not none"
    if "partitioned" in Morsel():
        changed["ret sync cookie_uni"] = "Python understands the cookie's attribute Partitioned"
    return changed


def difference(case: dict[str, Any], answers: list[dict[str, Any]], names: dict[str, str]) -> str:
    """The first thing in which the answers are not as recorded; empty if they agree."""
    for expected, answer in zip(case["answers"], answers, strict=True):
        recorded, given = comparable(expected, names), comparable(answer, names)
        if "json" in given and "body_sha256" in expected:  # its digest was of another address
            recorded.pop("body_len")
            recorded.pop("body_sha256")
        for key, value in recorded.items():
            if given.get(key) != value and not (key == "json" and not json_difference(value, given.get(key))):
                shown = json_difference(value, given.get(key)) if key == "json" else (value, given.get(key))
                return f"{key}: {shown}"
    return ""


def json_difference(recorded: dict[str, Any], given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        return {"json": given}
    shown: dict[str, Any] = given
    return {key: (value, shown.get(key)) for key, value in recorded.items() if shown.get(key) != value}


def comparable(answer: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """An answer without its reason phrase and without what is the server's own."""
    headers = [[name, value] for name, value in answer["headers"] if name.lower() not in SERVERS_OWN]
    kept: dict[str, Any] = {
        key: answer[key] for key in ("framing", "body", "body_len", "body_sha256", "json") if key in answer
    }
    status = answer["status"].split(" ")[1] if " " in answer["status"] else ""
    shown: dict[str, Any] = {"status": status, **kept, "headers": sorted(headers, key=str)}
    replaced: dict[str, Any] = json.loads(replace(json.dumps(shown), names))
    return replaced
