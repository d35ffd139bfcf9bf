"""What every instance needs, imported once in the process that forks them all: 200 of them then start in seconds.

Never imports the app's module-scope instances (services/app_services.py, the blueprints): each instance makes its own.
"""

from __future__ import annotations

import gc
import importlib
import pkgutil

import azure.servicebus.aio
import hiredis
import httptools
import redis.asyncio
import uvicorn.lifespan.off
import uvicorn.loops.asyncio
import uvicorn.protocols.http.httptools_impl

import lab.proof.fleet.instance
import lab.proof.strategies
import services

NOT_YET = ("app_services", "otel_spans", "session_metrics")  # the last two: only with telemetry

for module in pkgutil.walk_packages(services.__path__, "services."):
    if not module.name.endswith(NOT_YET):
        importlib.import_module(module.name)

gc.collect()
gc.freeze()  # else the first collection of every instance copies every page

__all__ = ["azure", "hiredis", "httptools", "lab", "redis", "uvicorn"]
