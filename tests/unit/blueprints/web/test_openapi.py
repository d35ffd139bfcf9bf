"""The OpenAPI document against what it describes: the functions, the kinds of problems, the models, the handlers."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, Field

from blueprints.orders import ORDER
from blueprints.web import openapi, operations
from blueprints.web.problems import KINDS, kind_of
from services.errors import Conflict
from services.readiness import Health
from services.tickets.models import (
    Drop,
    ListOrders,
    NewOrder,
    Order,
    OrderHeaders,
    OrderPath,
    OrderStatus,
    PlaceOrder,
    PutDrop,
    RefusalReason,
)
from tests import ROOT
from tests.unit.blueprints.test_index import EXPECTED

ALL_KINDS = (*KINDS, *(kind_of(error("")) for error in Conflict.__subclasses__()))
HANDLERS = ("function_app.py", "blueprints/drops.py", "blueprints/orders.py")
MODELS: tuple[type[BaseModel], ...] = (PutDrop, PlaceOrder, Drop, Order, Health)
HTTP = {name: bindings[0] for name, bindings in EXPECTED.items() if bindings[0]["type"] == "httpTrigger"}
DOCUMENT: dict[str, Any] = json.loads(operations.openapi_document())
SCHEMAS = DOCUMENT["components"]["schemas"]
BY_NAME: dict[str, dict[str, Any]] = {
    operation["operationId"]: operation for path in DOCUMENT["paths"].values() for operation in path.values()
}
RESPONSES = {(name, status): shown for name, one in BY_NAME.items() for status, shown in one["responses"].items()}
KEYED = sorted(name for name, trigger in HTTP.items() if trigger["authLevel"] == "FUNCTION")


def problem_types(response: dict[str, Any]) -> list[str]:
    content = response.get("content", {}).get("application/problem+json")
    return content["schema"]["properties"]["type"]["enum"] if content else []


def statuses(function: str) -> set[int]:
    return {int(status) for status in BY_NAME[function]["responses"]}


def bodies_and_schemas() -> Iterator[Any]:
    """Every example of a body, with the schema that it must fit."""
    for name, operation in BY_NAME.items():
        bodies = [("request", operation["requestBody"])] if "requestBody" in operation else []
        for status, body in [*bodies, *operation["responses"].items()]:
            for content in body.get("content", {}).values():
                values = [one["value"] for one in content.get("examples", {}).values()]
                values += [content["example"]] if "example" in content else []
                for number, value in enumerate(values):
                    yield pytest.param(content["schema"], value, id=f"{name}-{status}-{number}")


def handlers() -> Iterator[tuple[str, ast.AsyncFunctionDef]]:
    """Every HTTP handler of the app, by name."""
    for file in HANDLERS:
        for node in ast.walk(ast.parse(Path(ROOT / file).read_text())):
            if isinstance(node, ast.AsyncFunctionDef) and node.name in HTTP:
                yield node.name, node


SOURCES = dict(handlers())


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_it_describes_every_http_function_by_route_and_method_and_no_other() -> None:
    shown = {
        (f"/{trigger['route']}", method.lower(), name)
        for name, trigger in HTTP.items()
        for method in trigger["methods"]
        if method != "HEAD"  # answers like GET, without the body
    }
    assert shown == {
        (path, method, one["operationId"]) for path, item in DOCUMENT["paths"].items() for method, one in item.items()
    }


def test_the_server_is_the_hosts_prefix_unless_the_request_came_by_another() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    assert DOCUMENT["servers"] == [{"url": f"/{host['extensions']['http']['routePrefix']}"}]
    assert json.loads(operations.openapi_document(""))["servers"] == [{"url": "/"}]


def test_the_location_of_an_order_is_the_path_that_reads_it() -> None:
    assert HTTP["get_order"]["route"] == ORDER


@pytest.mark.parametrize("name", HTTP)
def test_the_parameters_of_a_path_are_those_of_its_route(name: str) -> None:
    shown = {one["name"] for one in BY_NAME[name].get("parameters", []) if one["in"] == "path"}
    assert shown == {part[1:-1] for part in HTTP[name]["route"].split("/") if part.startswith("{")}


@pytest.mark.parametrize("name", HTTP)
def test_a_key_is_asked_for_where_the_function_asks_for_one(name: str) -> None:
    assert BY_NAME[name]["security"] == ([{"key": []}, {"keyInQuery": []}] if name in KEYED else [])
    assert (401 in statuses(name)) == (name in KEYED)


@pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.title)
def test_every_kind_of_problem_is_an_answer_of_some_function(kind: Any) -> None:
    assert any(
        status == str(kind.status) and kind.type in problem_types(shown) for (_, status), shown in RESPONSES.items()
    )


def test_no_answer_has_a_problem_that_the_app_does_not_know() -> None:
    known = {(str(kind.status), kind.type) for kind in ALL_KINDS}
    assert {(status, type_) for (_, status), shown in RESPONSES.items() for type_ in problem_types(shown)} <= known


@pytest.mark.parametrize("name", SOURCES)
def test_every_status_in_a_handlers_source_is_an_answer(name: str) -> None:
    numbers = {node.value for node in ast.walk(SOURCES[name]) if isinstance(node, ast.Constant)}
    assert {number for number in numbers if isinstance(number, int) and 200 <= number < 600} <= statuses(name)


@pytest.mark.parametrize(
    ("call", "implied"),
    [("path", {400}), ("query", {400}), ("headers", {400}), ("body", {400, 413, 415}), ("answers_problems", {503})],
)
def test_what_a_handler_calls_is_among_its_answers(call: str, implied: set[int]) -> None:
    callers = [
        name
        for name, source in SOURCES.items()
        if any(isinstance(node, ast.Attribute) and node.attr == call for node in ast.walk(source))
    ]
    assert callers
    assert [name for name in callers if not implied <= statuses(name)] == []


def test_every_answer_of_the_api_is_described() -> None:
    assert statuses("place_order") == {200, 202, 400, 401, 404, 409, 413, 415, 422, 503}
    assert statuses("put_drop") == {200, 201, 400, 401, 409, 413, 415, 503}
    assert statuses("get_drop") == statuses("get_order") == {200, 400, 401, 404, 503}
    assert statuses("list_orders") == {200, 400, 401, 404, 503}
    assert statuses("ready") == {200, 503}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_schema_has_the_fields_of_its_model(model: type[BaseModel]) -> None:
    schema = SCHEMAS[model.__name__]
    assert list(schema["properties"]) == list(model.model_fields)


@pytest.mark.parametrize("model", [Drop, Order, Health], ids=lambda model: model.__name__)
def test_every_field_of_an_answer_is_always_there(model: type[BaseModel]) -> None:
    assert sorted(SCHEMAS[model.__name__]["required"]) == sorted(model.model_fields)


@pytest.mark.parametrize("enum", [OrderStatus, RefusalReason])
def test_a_schema_of_an_enumeration_has_its_values(enum: Any) -> None:
    assert SCHEMAS[enum.__name__]["enum"] == [str(one) for one in enum]


def test_the_headers_and_ids_are_those_of_the_models() -> None:
    shown = {one["name"]: one for name in ("place_order", "get_order") for one in BY_NAME[name]["parameters"]}
    wanted = {field.alias or name for model in (OrderHeaders, OrderPath) for name, field in model.model_fields.items()}
    assert set(shown) == wanted
    assert all(one["required"] for one in shown.values())


def test_the_parameters_of_a_list_are_those_of_its_model_and_none_is_required() -> None:
    shown = [one for one in BY_NAME["list_orders"]["parameters"] if one["in"] == "query"]
    assert [one["name"] for one in shown] == list(ListOrders.model_fields)
    assert not any(one["required"] for one in shown)
    assert shown[0]["schema"]["enum"] == [str(status) for status in OrderStatus]


def test_a_202_has_location_and_retry_after_and_every_503_of_a_problem_says_when_to_come_back() -> None:
    accepted = RESPONSES["place_order", "202"]["headers"]
    assert {name for name, header in accepted.items() if header["required"]} == {
        "Location",
        "Retry-After",
        "Cache-Control",
    }
    unavailable = [shown for (_, status), shown in RESPONSES.items() if status == "503" and problem_types(shown)]
    assert all(shown["headers"]["Retry-After"]["required"] for shown in unavailable)
    assert len(unavailable) == len(KEYED)


def test_a_pattern_is_one_of_ecma_262() -> None:
    assert "\\\\z" not in operations.openapi_document()


@pytest.mark.parametrize(("schema", "example"), list(bodies_and_schemas()))
def test_every_example_fits_its_schema(schema: dict[str, Any], example: Any) -> None:
    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(example)


def test_the_example_of_an_order_is_the_one_that_its_key_makes() -> None:
    assert NewOrder.of("demo", PlaceOrder(customer_id="ada", quantity=4), "first").order_id == operations.ID


def test_the_document_is_made_once() -> None:
    assert operations.openapi_document() is operations.openapi_document()


def test_a_function_that_is_anonymous_and_takes_nothing_refuses_nothing() -> None:
    open_to_all = openapi.Operation("f", "GET", "f", "", (openapi.Answer(200, "Yes."),), anonymous=True)
    shown = openapi.document("", "", [open_to_all], 1, "")
    assert set(shown["paths"]["/f"]["get"]["responses"]) == {"200"}


class Optional(BaseModel):
    """A header that nobody has to send."""

    language: str | None = Field(None, alias="Accept-Language")


def test_a_header_may_be_optional_and_without_an_example() -> None:
    operation = openapi.Operation("f", "GET", "f", "", (openapi.Answer(200, "Yes."),), headers=Optional)
    (shown,) = openapi.document("", "", [operation], 1, "")["paths"]["/f"]["get"]["parameters"]
    assert (shown["name"], shown["in"], shown["required"]) == ("Accept-Language", "header", False)
