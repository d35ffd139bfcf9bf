"""The HTTP answers: JSON documents, and a problem document for each error of ours. A bug stays the host's 500."""

import functools
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import ParamSpec

import azure.functions as func
from pydantic import BaseModel

from blueprints.web.problems import problem_of
from services import app_services
from services.errors import UNAVAILABLE, AppError

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


def answers_problems(handler: Handler[P]) -> Handler[P]:
    """Let a handler raise our errors; each leaves as its problem document."""

    @functools.wraps(handler)
    async def answer(*args: P.args, **kwargs: P.kwargs) -> func.HttpResponse:
        app_services.shared.say_what_is_bad()
        try:
            return await handler(*args, **kwargs)
        except (AppError, *UNAVAILABLE) as error:
            return problem(error)

    return answer
