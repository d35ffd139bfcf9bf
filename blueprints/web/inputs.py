"""What came in over HTTP, as a parsed command, or an InvalidInput that names the field. Bad input gets no default."""

import re
from typing import Any, TypeVar
from urllib.parse import parse_qs

import azure.functions as func
from pydantic import BaseModel, ValidationError

from blueprints.strict_json import invalid, parse_json
from services.errors import BodyTooLarge, InvalidInput, WrongContentType

MAX_BODY = 16 * 1024  # bytes
_PATH = re.compile(r"[a-zA-Z]+://[^/?#]*(/[^?#]*)")
DEFAULT_MOUNT = "/api"
HOST_S = ("code", "clientid")  # the function key and its name, which the host reads in any case
Model = TypeVar("Model", bound=BaseModel)


def path(req: func.HttpRequest, model: type[Model]) -> Model:
    """The ids in the address. Raises InvalidInput."""
    return _validated(model, dict(req.route_params))


def headers(req: func.HttpRequest, model: type[Model]) -> Model:
    """The headers that the model names. Raises InvalidInput."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return _validated(model, {name: req.headers[name] for name in names if name in req.headers})


def mount(req: func.HttpRequest, route: str) -> str:
    """What comes before the route in the request's path, `/api` by default: the host's routePrefix."""
    found = _PATH.match(req.url)
    if found is None:  # the Host is whatever the caller sent
        return DEFAULT_MOUNT
    return "/".join(found[1].rstrip("/").split("/")[: -len(route.split("/"))])


def query(req: func.HttpRequest, model: type[Model]) -> Model:
    """The query. An unknown name is refused, and so is an empty value: a misspelt filter must not be ignored.

    Raises InvalidInput.
    """
    sent = parse_qs(req.url.partition("?")[2], keep_blank_values=True)  # the host leaves out what has no value
    values = {**dict.fromkeys(sent, ""), **req.params, **{name: "" for name, texts in sent.items() if "" in texts}}
    return _validated(model, {name: value for name, value in values.items() if name.lower() not in HOST_S})


def body(req: func.HttpRequest, model: type[Model]) -> Model:
    """The JSON body. Raises WrongContentType, BodyTooLarge (over 16 KiB) or InvalidInput."""
    if req.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise WrongContentType("send the body without a Content-Encoding")
    declared = req.headers.get("content-type", "").split(";")[0].strip().lower()
    if declared != "application/json":
        raise WrongContentType("send the body as application/json")
    raw = req.get_body()
    if len(raw) > MAX_BODY:
        raise BodyTooLarge(f"the body is over {MAX_BODY} bytes")
    if not raw:
        raise InvalidInput(("body", "is empty; send JSON with a Content-Length"))
    return parse_json(raw, model)


def _validated(model: type[Model], values: dict[str, Any]) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(error) from None
