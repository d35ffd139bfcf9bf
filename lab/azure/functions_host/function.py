"""What the host knows of one function. Must hold no state of an invocation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.azure.functions_host.route_template import RouteTemplate
from lab.azure.service_bus_connection import ServiceBusConnection


@dataclass(frozen=True)
class Function:
    """How to call it: `argument` is the name of its trigger's parameter."""

    name: str
    call: Callable[..., Any]
    argument: str
    is_async: bool
    wants_context: bool


@dataclass(frozen=True)
class HttpFunction(Function):
    """With an HTTP trigger. `route` is without the host's prefix; `methods` None takes every method."""

    route: str
    template: RouteTemplate
    methods: frozenset[str] | None
    auth_level: str

    def takes(self, method: str) -> bool:
        """True if it takes this HTTP method."""
        return self.methods is None or method in self.methods

    def conflicts_with(self, other: HttpFunction) -> bool:
        """True if both have the same route and a method in common."""
        if self.route.lower() != other.route.lower():
            return False
        return self.methods is None or other.methods is None or bool(self.methods & other.methods)


@dataclass(frozen=True)
class ServiceBusFunction(Function):
    """With a Service Bus trigger on `queue`, or on `subscription` of `topic`."""

    connection: ServiceBusConnection
    queue: str = ""
    topic: str = ""
    subscription: str = ""

    @property
    def entity(self) -> str:
        """The path of what it receives from."""
        return self.queue or f"{self.topic}/Subscriptions/{self.subscription}"
