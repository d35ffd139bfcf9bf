"""The one place where an error becomes an HTTP answer: an RFC 9457 problem document. Knows no Azure type."""

import random
from dataclasses import dataclass, field
from typing import Any

from services import errors
from services.errors import UNAVAILABLE

RETRY_AFTER_S = (1, 5)  # whole seconds, both ends included: callers told the same time would come back together


@dataclass(frozen=True)
class Problem:
    """Status, JSON body and headers of a refusal. `body` holds nothing that the caller did not send."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """Which answer an error and its subclasses get, unless a kind before it fits."""

    error: type[Exception] | tuple[type[Exception], ...]
    status: int
    type: str
    title: str


def _named(name: str) -> str:
    return f"urn:problem-type:{name}"


# The first that fits counts.
KINDS = (
    Kind(errors.InvalidInput, 400, _named("invalid-input"), "The request is not as documented"),
    Kind(errors.NotFound, 404, "about:blank", "Not Found"),
    Kind(errors.BodyTooLarge, 413, "about:blank", "Content Too Large"),
    Kind(errors.WrongContentType, 415, "about:blank", "Unsupported Media Type"),
    Kind(errors.KeyReused, 422, _named("key-reused"), "Idempotency-Key used for another order"),
    Kind(UNAVAILABLE, 503, "about:blank", "Service Unavailable"),
)


def problem_of(error: Exception) -> Problem:
    """The answer to an error of ours. Raises LookupError for one that must never reach a caller."""
    kind = kind_of(error)
    body: dict[str, Any] = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": str(error)}
    if isinstance(error, errors.InvalidInput):
        body["errors"] = [{"field": name, "message": reason} for name, reason in error.fields]
    headers = {}
    if kind.status == 503:
        body["detail"] = "A service behind this one cannot be reached right now. The same request can be repeated."
        headers["Retry-After"] = str(random.randint(*RETRY_AFTER_S))  # noqa: S311 - spreads load, guards nothing
    return Problem(kind.status, body, headers)


def kind_of(error: Exception) -> Kind:
    """Which answer an error of ours gets. Raises LookupError for one that must never reach a caller."""
    if isinstance(error, errors.Conflict):
        return Kind(type(error), 409, _named(error.name), error.title)
    kind = next((kind for kind in KINDS if isinstance(error, kind.error)), None)
    if kind is None:
        raise LookupError(f"{type(error).__name__} has no HTTP answer")
    return kind
