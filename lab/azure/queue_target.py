"""Which queue the tools `enqueue` and `dead-letters` speak to: the running lab's, or a real one.

Must never show a connection string.
"""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass

from lab.azure.service_bus_connection import ServiceBusConnection, find_connection
from lab.azure.settings import CONNECTION, DEFAULT_QUEUE, QUEUE, ROOT, app_settings, read_values
from lab.azure.state_file import add_state_argument, read_state


class NoQueue(LookupError):
    """Nothing says where the queue is; the message says what to do."""


@dataclass(frozen=True)
class QueueTarget:
    """A queue and how to reach it; `place` is what people are told."""

    connection: ServiceBusConnection
    queue: str
    place: str


def add_target_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which queue (the running lab's by default)")
    group.add_argument("--queue", help=f"its name (default: {QUEUE} of the settings, else {DEFAULT_QUEUE})")
    where = group.add_mutually_exclusive_group()
    where.add_argument("--service-bus", metavar="CONNECTION_STRING", help="a Service Bus by its connection string")
    where.add_argument(
        "--namespace", metavar="NAME", help="a namespace you are signed in to (az login): its name or host"
    )
    add_state_argument(group)


def find_target(options: argparse.Namespace) -> QueueTarget:
    """From the options, else the running lab, else the environment or local.settings.json. Raises NoQueue."""
    settings = app_settings(ROOT, os.environ)
    queue = options.queue or settings.get(QUEUE) or DEFAULT_QUEUE
    if options.service_bus:
        return QueueTarget(ServiceBusConnection(options.service_bus), queue, endpoint(options.service_bus))
    if options.namespace:
        host = options.namespace if "." in options.namespace else f"{options.namespace}.servicebus.windows.net"
        return QueueTarget(ServiceBusConnection(namespace=host), queue, host)
    if state := read_state(options.state):
        connection = ServiceBusConnection(state.service_bus)
        return QueueTarget(connection, options.queue or state.queue, f"the running lab ({endpoint(state.service_bus)})")
    own = find_connection(CONNECTION, {**read_values(ROOT / "local.settings.json"), **os.environ})
    if own is None:
        raise NoQueue(
            "No lab is running here and no Service Bus is set. Start one with `python -m lab up`,\n"
            f"or name one with --service-bus or --namespace, or set {CONNECTION}."
        )
    return QueueTarget(own, queue, own.namespace or endpoint(own.connection_string))


def endpoint(connection_string: str) -> str:
    """The host of a connection string, without its key."""
    found = re.search(r"Endpoint=sb://([A-Za-z0-9.:\[\]-]+)", connection_string, re.IGNORECASE)
    return found[1] if found else "?"
