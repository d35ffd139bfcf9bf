"""The OpenAPI 3.1 document of an app, made from its pydantic models, its operations and its kinds of problems.

Knows no operation but those that every app of this shape has. Must not be imported at a cold start.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from blueprints.web.problems import problem_of
from services import errors
from services.readiness import Health
from services.redis_session import RedisUnavailable

Json = dict[str, Any]
Method = Literal["GET", "PUT", "POST", "DELETE", "PATCH"]

REF = "#/components/schemas/{model}"
PROBLEM: Json = {
    "description": "RFC 9457. `errors` is in a 400 only, one entry per field that is not as documented.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                "required": ["field", "message"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
}
HEADERS: dict[str, Json] = {
    "Cache-Control": {"description": "`no-store`, always.", "schema": {"const": "no-store"}},
    "Location": {
        "description": "The path of the order, to be followed.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 60},
    },
}
KEPT_OUT = ("Cache-Control",)  # of caches
SECURITY_SCHEMES: Json = {
    "key": {"type": "apiKey", "in": "header", "name": "x-functions-key", "description": "A function key."},
    "keyInQuery": {"type": "apiKey", "in": "query", "name": "code", "description": "The same key in the address."},
}


@dataclass(frozen=True)
class Answer:
    """What an operation answers when it does not refuse.

    Attributes:
        model: of its JSON body; None: the body is not described.
        always, sometimes: names of HEADERS that it carries.
    """

    status: int
    description: str
    model: type[BaseModel] | None = None
    example: Json | None = None
    always: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One HTTP function: what it takes, what it answers and what it may refuse.

    What follows from the rest is added: 400 for what it parses, 413 and 415 for a body, 401 and 503 where it is not
    anonymous.

    Attributes:
        function: its name, which becomes the operationId.
        route: without the prefix, as in its decorator.
        refusals: an example of each error of its own.
        when_unavailable: headers that its 503 may carry besides Retry-After.
        examples: field or header name -> example.
    """

    function: str
    method: Method
    route: str
    summary: str
    answers: tuple[Answer, ...]
    description: str = ""
    path: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    refusals: tuple[Exception, ...] = ()
    when_unavailable: tuple[str, ...] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)
    anonymous: bool = False
    tag: str = "app"


HOUSEKEEPING = (
    Operation(
        "health",
        "GET",
        "health",
        "Does the worker run?",
        (Answer(200, "The worker runs.", Health, {"status": "ok", "reason": None}),),
        anonymous=True,
    ),
    Operation(
        "ready",
        "GET",
        "health/ready",
        "Can this instance serve?",
        (
            Answer(200, "It can.", Health, {"status": "ready", "reason": None}),
            Answer(503, "It cannot.", Health, {"status": "unavailable", "reason": "Redis does not answer"}),
        ),
        anonymous=True,
    ),
    Operation("openapi", "GET", "openapi.json", "This document", (Answer(200, "OpenAPI 3.1."),), anonymous=True),
)


def document(title: str, description: str, operations: Iterable[Operation], max_body: int, server: str) -> Json:
    """The document, as JSON values. `max_body`: bytes over which a body is refused; `server`: the routes' prefix."""
    operations = tuple(operations)
    refs, components = _models(operations)
    paths: defaultdict[str, Json] = defaultdict(dict)
    for operation in operations:
        paths[f"/{operation.route}"][operation.method.lower()] = _operation(operation, refs, max_body)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "description": description},
        "servers": [{"url": server or "/"}],
        "paths": dict(paths),
        "components": {"schemas": components | {"Problem": PROBLEM}, "securitySchemes": SECURITY_SCHEMES},
    }


class _Schema(GenerateJsonSchema):
    """Without titles: they would only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


Refs = Mapping[Any, Json]  # (model, mode) -> reference


def _models(operations: Iterable[Operation]) -> tuple[Refs, Json]:
    """A reference to each model that is a body, and the schemas that they refer to."""
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for operation in operations:
        if operation.body is not None:
            wanted[operation.body, "validation"] = None
        for answer in operation.answers:
            if answer.model is not None:
                wanted[answer.model, "serialization"] = None
    refs, schemas = models_json_schema(list(wanted), ref_template=REF, schema_generator=_Schema)
    return refs, schemas.get("$defs", {})


def _operation(operation: Operation, refs: Refs, max_body: int) -> Json:
    described: Json = {
        "operationId": operation.function,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [
            *_parameters(operation.path, "path", operation.examples),
            *_parameters(operation.query, "query", operation.examples),
            *_parameters(operation.headers, "header", operation.examples),
        ],
        "responses": _responses(operation, refs, max_body),
        "security": [] if operation.anonymous else [{name: []} for name in SECURITY_SCHEMES],
    }
    if operation.body is not None:
        example = {name: operation.examples[name] for name in operation.body.model_fields if name in operation.examples}
        content = {"schema": refs[operation.body, "validation"], "example": example}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return {name: value for name, value in described.items() if value or name == "security"}


def _parameters(model: type[BaseModel] | None, place: str, examples: Mapping[str, Any]) -> list[Json]:
    if model is None:
        return []
    schema = model.model_json_schema(schema_generator=_Schema)
    return [
        {"name": name, "in": place, "required": name in schema.get("required", ()), "schema": _without_null(of)}
        | ({"example": examples[name]} if name in examples else {})
        for name, of in schema["properties"].items()
    ]


def _without_null(schema: Json) -> Json:
    """What is left out is not null."""
    return {name: value for name, value in schema.items() if (name, value) != ("default", None)}


def _responses(operation: Operation, refs: Refs, max_body: int) -> Json:
    described = {answer.status: _answer(answer, refs) for answer in operation.answers}
    by_status: defaultdict[int, list[Json]] = defaultdict(list)
    for error in (*_implied(operation, max_body), *operation.refusals):
        problem = problem_of(error)
        by_status[problem.status].append(problem.body)
    described |= {status: _refusal(documents, operation) for status, documents in by_status.items()}
    if not operation.anonymous:
        described[401] = {"description": "No valid key. The host's own answer, with an empty body."}
    return {str(status): described[status] for status in sorted(described)}


def _answer(answer: Answer, refs: Refs) -> Json:
    schema = refs[answer.model, "serialization"] if answer.model else {"type": "object"}
    content = {"schema": schema} | ({} if answer.example is None else {"example": answer.example})
    described: Json = {"description": answer.description, "content": {"application/json": content}}
    return described | _headers((*KEPT_OUT, *answer.always), answer.sometimes)


def _headers(always: Iterable[str], sometimes: Iterable[str]) -> Json:
    described = {name: HEADERS[name] | {"required": True} for name in always} | {
        name: HEADERS[name] for name in sometimes
    }
    return {"headers": described} if described else {}


def _implied(operation: Operation, max_body: int) -> Iterable[Exception]:
    """What an operation refuses because of what it takes."""
    if operation.body is not None:
        yield errors.InvalidInput((next(iter(operation.body.model_fields)), "Field required"))
        yield errors.BodyTooLarge(f"the body is over {max_body} bytes")
        yield errors.WrongContentType("send the body as application/json")
    elif operation.path is not None:
        yield errors.InvalidInput((next(iter(operation.path.model_fields)), "must be 1 to 64 letters"))
    if not operation.anonymous:
        yield RedisUnavailable()


def _refusal(documents: list[Json], operation: Operation) -> Json:
    """The response of one status, whose problems may be of several types."""
    status = documents[0]["status"]
    schema: Json = {
        "$ref": REF.format(model="Problem"),
        "properties": {
            "type": {"enum": sorted({problem["type"] for problem in documents})},
            "status": {"const": status},
        },
    }
    if status == 400:
        schema["required"] = ["errors"]
    examples = {_name(described): {"value": described} for described in documents}
    described = {
        "description": "; ".join(dict.fromkeys(described["title"] for described in documents)),
        "content": {"application/problem+json": {"schema": schema, "examples": examples}},
    }
    return described | _headers(
        [*KEPT_OUT, "Retry-After"] if status == 503 else KEPT_OUT, operation.when_unavailable if status == 503 else ()
    )


def _name(problem: Json) -> str:
    last = str(problem["type"]).rpartition(":")[2]
    return str(problem["title"]).lower().replace(" ", "-") if last == "blank" else last
