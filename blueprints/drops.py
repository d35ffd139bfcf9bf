"""HTTP: put a drop on sale or restock it, and read it.

Uses the one Redis session of this process, `redis_service`, which is held at module scope in services/app_services.py
and reconnects when a ping fails (services/redis_session/redis_service.py).
"""

import azure.functions as func

from blueprints.web import inputs, responses
from services import app_services
from services.tickets.models import DropPath, PutDrop

bp = func.Blueprint()


@bp.route("drops/{drop_id}", methods=["PUT"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def put_drop(req: func.HttpRequest) -> func.HttpResponse:
    """201 with the new drop, or 200 with the restocked one."""
    drop_id = inputs.path(req, DropPath).drop_id
    drop, created = await app_services.shared.order_store.put_drop(drop_id, inputs.body(req, PutDrop))
    return responses.resource(drop, 201 if created else 200)


@bp.route("drops/{drop_id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def get_drop(req: func.HttpRequest) -> func.HttpResponse:
    """200 with the drop."""
    drop_id = inputs.path(req, DropPath).drop_id
    return responses.resource(await app_services.shared.order_store.read_drop(drop_id), 200)
