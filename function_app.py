"""Assembles the app: every blueprint is registered here, and nowhere else; health and openapi.json live here."""

import logging

import azure.functions as func

from blueprints import drops, fulfilment, orders
from blueprints.web.responses import NOT_KEPT, resource, warnings_of_503
from services import app_services
from services.readiness import Health

# The SDKs log every AMQP state change and every HTTP request at INFO. Not "azure": that is azure.functions' parent too.
for name in ("azure.servicebus", "azure.identity", "azure.core"):
    logging.getLogger(name).setLevel(logging.WARNING)

app = func.FunctionApp()
app.register_functions(drops.bp)
app.register_functions(orders.bp)
app.register_functions(fulfilment.bp)


@app.route("health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """200 while the worker runs: no I/O, so that a Redis outage restarts nobody."""
    return resource(Health(status="ok", reason=None), 200)


@app.route("health/ready", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def ready(req: func.HttpRequest) -> func.HttpResponse:
    """200 if this instance can serve, 503 with the reason if not."""
    app_services.shared.say_what_is_bad()
    app_services.shared.queue_service.prepare()  # a probe before the first request spares it the opening
    reason = await app_services.shared.readiness.reason()
    if reason is None:
        return resource(Health(status="ready", reason=None), 200)
    warnings_of_503.say("ready", reason, {})
    return resource(Health(status="unavailable", reason=reason), 503)


@app.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """200 with the OpenAPI document of this app."""
    from blueprints.web import inputs, operations  # not at the top: a cold start does not pay for it

    server = inputs.mount(req, "openapi.json")
    return func.HttpResponse(operations.openapi_document(server), headers=NOT_KEPT, mimetype="application/json")
