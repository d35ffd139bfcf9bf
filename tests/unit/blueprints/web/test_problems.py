"""Which answer each error gets: the whole table, and nothing secret in any of it."""

from __future__ import annotations

import json
import sys

import pytest

from blueprints.web.problems import RETRY_AFTER_S, problem_of
from services import errors, queue_session, redis_session
from services.tickets import errors as tickets

SECRET = "hunter2"
TABLE = [
    (errors.InvalidInput(("quantity", "is odd")), 400, "urn:problem-type:invalid-input"),
    (errors.NotFound("no such drop"), 404, "about:blank"),
    (tickets.DropClosed("closed"), 409, "urn:problem-type:closed"),
    (tickets.CustomerLimit("limit"), 409, "urn:problem-type:customer-limit"),
    (tickets.SoldOut("sold out"), 409, "urn:problem-type:sold-out"),
    (tickets.BelowConfirmed("below"), 409, "urn:problem-type:below-confirmed"),
    (errors.BodyTooLarge("large"), 413, "about:blank"),
    (errors.WrongContentType("type"), 415, "about:blank"),
    (errors.KeyReused("reused"), 422, "urn:problem-type:key-reused"),
    (redis_session.RedisNotConfigured("setting"), 503, "about:blank"),
    (redis_session.RedisUnavailable("redis"), 503, "about:blank"),
    (redis_session.NotSent("not sent"), 503, "about:blank"),
    (redis_session.Overloaded("overloaded"), 503, "about:blank"),
    (redis_session.OutcomeUnknown("unknown"), 503, "about:blank"),
    (queue_session.QueueUnavailable("queue"), 503, "about:blank"),
    (queue_session.QueueNotConfigured("setting"), 503, "about:blank"),
    (queue_session.MessageNotSent("not sent"), 503, "about:blank"),
    (queue_session.MessageOutcomeUnknown("unknown"), 503, "about:blank"),
]
NEVER_ANSWERED = {redis_session.NeedsOwnConnection, errors.OverBudget, errors.Undecidable}  # OverBudget: ready shows it


def kind(case: object) -> str | None:
    return type(case).__name__ if isinstance(case, Exception) else None


def leaves(root: type[Exception]) -> set[type[Exception]]:
    """Those of modules that are there: tests of docs/ import code of a page, take it back, and its classes linger."""
    children = (child for child in root.__subclasses__() if child.__module__ in sys.modules)
    return set().union(*map(leaves, children)) or {root}


@pytest.mark.parametrize(("error", "status", "type_"), TABLE, ids=kind)
def test_each_error_has_its_status_and_a_problem_document_with_type_title_and_detail(
    error: Exception, status: int, type_: str
) -> None:
    found = problem_of(error)
    assert (found.status, found.body["status"], found.body["type"]) == (status, status, type_)
    document = json.loads(json.dumps(found.body))
    assert document["title"]
    assert document["detail"]


def test_the_table_knows_every_error_that_can_reach_a_caller() -> None:
    roots = errors.AppError, redis_session.RedisSessionError, queue_session.QueueUnavailable
    assert set().union(*map(leaves, roots)) - NEVER_ANSWERED <= {type(error) for error, *_ in TABLE}


@pytest.mark.parametrize("error", [redis_session.NeedsOwnConnection("bug"), errors.Undecidable("bug")], ids=kind)
def test_an_error_that_must_not_reach_a_caller_has_no_answer(error: Exception) -> None:
    with pytest.raises(LookupError):
        problem_of(error)


def test_an_invalid_input_names_every_field_with_its_reason() -> None:
    document = problem_of(errors.InvalidInput(("stock", "too big"), ("extra", "not permitted"))).body
    assert document["errors"] == [
        {"field": "stock", "message": "too big"},
        {"field": "extra", "message": "not permitted"},
    ]


@pytest.mark.parametrize("error", [error for error, status, _ in TABLE if status != 503], ids=kind)
def test_only_a_503_says_when_to_come_back(error: Exception) -> None:
    assert problem_of(error).headers == {}


def test_retry_after_is_spread_over_its_whole_range_in_whole_seconds() -> None:
    first, last = RETRY_AFTER_S
    seen = {int(problem_of(redis_session.NotSent("x")).headers["Retry-After"]) for _ in range(2000)}
    assert seen == set(range(first, last + 1))
    assert first >= 1


@pytest.mark.parametrize("unavailable", [error for error, status, _ in TABLE if status == 503], ids=kind)
def test_a_503_never_shows_what_the_dependency_said(unavailable: Exception) -> None:
    problem = problem_of(type(unavailable)(f"redis://:{SECRET}@cache:6380 refused"))
    assert SECRET not in f"{problem.body} {problem.headers}"
