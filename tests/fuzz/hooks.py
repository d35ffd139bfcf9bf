"""Schemathesis' own process loads this: a check that a request which was refused has written nothing."""

from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import Any

import schemathesis

from tests.fuzz.witness import Witness

WITNESS = Witness(os.environ["FUZZ_REDIS_URL"], os.environ["FUZZ_URL"], os.environ["FUZZ_KEY"])
before = WITNESS.changes()
refused = 0


@atexit.register
def tell() -> None:
    """Leave the number of refused requests that were looked at."""
    Path(os.environ["FUZZ_REFUSED"]).write_text(str(refused))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Note how much was written so far."""
    global before
    before = WITNESS.changes()


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """An order is decided behind the answer: wait for that."""
    if response.status_code == 202:
        WITNESS.settle(response.headers["location"][0])


@schemathesis.check
def a_refused_request_writes_nothing(ctx: Any, response: Any, case: Any) -> None:
    """Fails a 4xx after which Redis has changed."""
    global refused
    if response.status_code < 400:
        return
    refused += 1
    if WITNESS.changes() != before:
        raise AssertionError(f"answered {response.status_code} and wrote")
