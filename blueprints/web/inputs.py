"""What came in over HTTP, as a parsed command, or an InvalidInput that names the field. Never defaults bad input."""

import json
from typing import Any, TypeVar

import azure.functions as func
from pydantic import BaseModel, ValidationError

from services.errors import BodyTooLarge, InvalidInput, WrongContentType

MAX_BODY = 16 * 1024  # bytes
_NAME_SHOWN = 64  # characters of a field name that a caller made up
Model = TypeVar("Model", bound=BaseModel)


def path(req: func.HttpRequest, model: type[Model]) -> Model:
    """The ids in the address. Raises InvalidInput."""
    return _validated(model, dict(req.route_params))


def headers(req: func.HttpRequest, model: type[Model]) -> Model:
    """The headers that the model names. Raises InvalidInput."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return _validated(model, {name: req.headers[name] for name in names if name in req.headers})


def body(req: func.HttpRequest, model: type[Model]) -> Model:
    """The JSON body. Raises WrongContentType, BodyTooLarge (over 16 KiB) or InvalidInput."""
    declared = req.headers.get("content-type", "").split(";")[0].strip().lower()
    if declared != "application/json":
        raise WrongContentType("send the body as application/json")
    raw = req.get_body()
    if len(raw) > MAX_BODY:
        raise BodyTooLarge(f"the body is over {MAX_BODY} bytes")
    if not raw:
        raise InvalidInput(("body", "is empty; send JSON with a Content-Length"))
    return parse_json(raw, model)


def parse_json(raw: bytes, model: type[Model]) -> Model:
    """Strict JSON: UTF-8, no name twice in an object, the types of the model. Raises InvalidInput."""
    try:
        json.loads(raw.decode(), object_pairs_hook=_each_name_once)  # pydantic takes the last of two in silence
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _invalid(error) from None
    except UnicodeDecodeError:
        reason = "is not UTF-8"
    except json.JSONDecodeError as error:
        reason = f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        reason = "is nested too deeply"
    except ValueError:
        reason = "holds a number that is too long"
    raise InvalidInput(("body", reason))


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise InvalidInput((_shown(name), "stands twice in one object"))
        names.add(name)
    return dict(pairs)


def _validated(model: type[Model], values: dict[str, Any]) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> InvalidInput:
    details = error.errors(include_input=False, include_url=False, include_context=False)
    return InvalidInput(*((_field(detail["loc"]), _reason(detail["msg"])) for detail in details[:20]))


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(map(_shown, location)) or "body"


def _shown(name: int | str) -> str:
    """A name that a caller may have made up, fit for a log line: one line, no lone surrogate."""
    return repr(str(name)[:_NAME_SHOWN])[1:-1]


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")[:200]
