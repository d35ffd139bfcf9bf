"""Strict JSON for what comes in over HTTP and on the queue: a parsed model, or an InvalidInput that names the field."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.errors import InvalidInput

_NAME_SHOWN = 64  # characters of a field name that a caller made up
Model = TypeVar("Model", bound=BaseModel)


def parse_json(raw: bytes, model: type[Model]) -> Model:
    """Strict JSON: UTF-8, no name twice in an object, the types of the model. Raises InvalidInput."""
    try:
        json.loads(raw.decode(), object_pairs_hook=_each_name_once)  # pydantic would take the last of two
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(error) from None
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
            raise InvalidInput((_shown(name), "occurs twice in one object"))
        names.add(name)
    return dict(pairs)


def invalid(error: ValidationError) -> InvalidInput:
    """What pydantic found, by field; it never quotes a value."""
    details = error.errors(include_input=False, include_url=False, include_context=False)
    return InvalidInput(*((_field(detail["loc"]), _reason(detail["msg"])) for detail in details[:20]))


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(map(_shown, location)) or "body"


def _shown(name: int | str) -> str:
    """A name that a caller may have made up, fit for a log line: one line, no lone surrogate."""
    return repr(str(name)[:_NAME_SHOWN])[1:-1]


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")[:200]
