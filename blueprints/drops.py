"""HTTP: put a drop on sale or restock it, and read it."""

import azure.functions as func

from blueprints.web import inputs as requests
from blueprints.web import responses
from services import app_services
from services.tickets.models import DropPath, PutDrop

bp = func.Blueprint()


@bp.route("drops/{drop_id}", methods=["PUT"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def put_drop(req: func.HttpRequest) -> func.HttpResponse:
    """201 with the new drop, or 200 with the restocked one."""
    drop_id = requests.path(req, DropPath).drop_id
    drop, created = await app_services.order_desk.put_drop(drop_id, requests.body(req, PutDrop))
    return responses.document(drop, 201 if created else 200)


@bp.route("drops/{drop_id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def get_drop(req: func.HttpRequest) -> func.HttpResponse:
    """200 with the drop."""
    drop_id = requests.path(req, DropPath).drop_id
    return responses.document(await app_services.order_desk.read_drop(drop_id), 200)
