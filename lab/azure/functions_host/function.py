"""What the host knows of one function. It holds no state of an invocation."""

from __future__ import annotations

from dataclasses import dataclass

from lab.azure.service_bus_connection import ServiceBusConnection


@dataclass(frozen=True)
class Function:
    """What every function has."""

    name: str


@dataclass(frozen=True)
class HttpFunction(Function):
    """With an HTTP trigger. `route` is without the host's prefix; `methods` None takes every method.

    `disabled`: it keeps its route, and answers 404 to all but the master key.
    """

    route: str
    methods: frozenset[str] | None
    auth_level: str
    disabled: bool = False

    def takes(self, method: str) -> bool:
        return self.methods is None or method in self.methods

    def conflicts_with(self, other: HttpFunction) -> bool:
        """True if both have the same route and a method in common."""
        if self.route.strip("/").lower() != other.route.strip("/").lower():
            return False
        return not self.methods or not other.methods or bool(self.methods & other.methods)


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


@dataclass(frozen=True)
class TimerFunction(Function):
    """With a timer trigger. `schedule` is an NCRONTAB expression of six fields, or of five."""

    schedule: str
    run_on_startup: bool = False
