"""Assembles the app: every blueprint is registered here, and nowhere else; health and readiness live here."""

import json
import logging

import azure.functions as func

from blueprints import drops, fulfilment, orders
from services import app_services

logging.getLogger("azure").setLevel(logging.WARNING)  # the SDK logs every AMQP state change at INFO

app = func.FunctionApp()
app.register_functions(drops.bp)
app.register_functions(orders.bp)
app.register_functions(fulfilment.bp)


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """200 while the worker runs: no I/O, so that a Redis outage restarts nobody."""
    return _status("ok", None, 200)


@app.route("health/ready", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def ready(req: func.HttpRequest) -> func.HttpResponse:
    """200 if this instance can serve, 503 with the reason if not."""
    reason = await app_services.readiness.reason()
    return _status("ready", None, 200) if reason is None else _status("unavailable", reason, 503)


def _status(status: str, reason: str | None, code: int) -> func.HttpResponse:
    body = json.dumps({"status": status, "reason": reason}) + "\n"
    return func.HttpResponse(body, status_code=code, mimetype="application/json")
