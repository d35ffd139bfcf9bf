"""The HTTP answers: JSON documents, and a problem document for each error of ours. A bug is left to the host: 500."""

import functools
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import ParamSpec

import azure.functions as func
from pydantic import BaseModel

from blueprints.web.problems import problem_of
from services import app_services
from services.errors import UNAVAILABLE, AppError

log = logging.getLogger(f"services.{__name__}")  # below the one logger that Application Insights is given
P = ParamSpec("P")
NOT_KEPT = {"Cache-Control": "no-store"}  # an order's state is asked for again and again
Handler = Callable[P, Awaitable[func.HttpResponse]]


def resource(content: BaseModel, status: int, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """A resource as JSON."""
    return func.HttpResponse(
        content.model_dump_json() + "\n",
        status_code=status,
        headers={**NOT_KEPT, **(headers or {})},
        mimetype="application/json",
    )


def problem(error: Exception, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """The problem document of an error."""
    answer = problem_of(error)
    return func.HttpResponse(
        json.dumps(answer.body) + "\n",
        status_code=answer.status,
        headers={**NOT_KEPT, **answer.headers, **(headers or {})},
        mimetype="application/problem+json",
    )


class Warnings:
    """One line in the log for each 503, at most `per_second` in a process; then one line with how many more."""

    def __init__(self, per_second: int = 10) -> None:
        self._per_second = per_second
        self._second, self._said, self._left_out = 0, 0, 0

    def say(self, function: str, reason: object, ids: Mapping[str, object], now: float | None = None) -> None:
        """Log it, unless too many have been logged in this second. `now`: seconds, of any clock."""
        second = int(time.monotonic() if now is None else now)
        if second != self._second:
            if self._left_out:
                log.warning("%d more answers of 503 were not logged", self._left_out)
            self._second, self._said, self._left_out = second, 0, 0
        if self._said >= self._per_second:
            self._left_out += 1
            return
        self._said += 1
        named = " ".join(f"{name}={value!r}" for name, value in ids.items())
        log.warning("%s answers 503%s: %s", function, f" ({named})" if ids else "", reason)


warnings_of_503 = Warnings()


def unavailable(
    function: str, error: Exception, ids: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """The 503 of a function, with a line in the log that has the reason and these ids; never a key or a body."""
    warnings_of_503.say(function, error, ids)
    return problem(error, headers)


def answers_problems(handler: Handler[P]) -> Handler[P]:
    """Let a handler raise our errors; each leaves as its problem document."""

    @functools.wraps(handler)
    async def answer(*args: P.args, **kwargs: P.kwargs) -> func.HttpResponse:
        app_services.shared.say_what_is_bad()
        try:
            return await handler(*args, **kwargs)
        except AppError as error:
            return problem(error)
        except UNAVAILABLE as error:
            requests = (given for given in (*args, *kwargs.values()) if isinstance(given, func.HttpRequest))
            return unavailable(handler.__name__, error, next((one.route_params for one in requests), {}))

    return answer
