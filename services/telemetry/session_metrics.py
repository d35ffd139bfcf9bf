"""Metrics of the two sessions, read from their counters and hooks. Imported only when telemetry is on.

The sessions know nothing of it: an exporter asks whenever it likes, on a thread of its own, and only numbers are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import ParamSpec

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from services.queue_session import QueueService
from services.redis_session import RedisService, RedisUnavailable
from services.redis_session.reply_stream import ReplyStream, StreamCounters

NAME = "ticket-drop"
P = ParamSpec("P")


class RedisMetrics:
    """Hooks itself into a session, behind the hooks that are there, and adds up what its connections count.

    In a cluster the session has one connection to each primary: every number is that of all of them.
    """

    def __init__(self, redis: RedisService) -> None:
        self._redis = redis
        self.unavailable: Counter[str] = Counter()
        self._ended, self._open = StreamCounters(), list[StreamCounters]()
        hooks = redis.hooks
        hooks.on_connect = _both(hooks.on_connect, self._connected)
        hooks.on_unavailable = _both(hooks.on_unavailable, self._unavailable)

    @property
    def _streams(self) -> list[ReplyStream]:
        client = self._redis.open_client
        return [] if client is None else client.streams()

    def _connected(self) -> None:
        """Every connection counts from 0; those that the session has no more will count nothing more."""
        current = [stream.counters for stream in self._streams]
        gone = [last for last in self._open if not any(last is one for one in current)]
        self._ended, self._open = sum(gone, self._ended), current

    @property
    def _counted(self) -> StreamCounters:
        return sum(self._open, self._ended)

    def _unavailable(self, error: RedisUnavailable) -> None:
        self.unavailable[type(error).__name__] += 1

    @property
    def connections(self) -> int:
        """Clients that the server has of this session now; those for blocking commands come on top."""
        return sum(stream.closed_because is None for stream in self._streams)

    @property
    def commands(self) -> int:
        """Commands written, on all connections so far."""
        return self._counted.commands

    @property
    def batches(self) -> int:
        """Writes to the socket; commands / batches is how many callers share one."""
        return self._counted.batches

    @property
    def largest_batch(self) -> int:
        """Commands in the largest write."""
        return self._counted.max_batch

    @property
    def backlog(self) -> int:
        """Commands that wait to be written or answered."""
        return sum(stream.backlog_calls for stream in self._streams)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait to be written."""
        return sum(stream.backlog_bytes for stream in self._streams)


def watch(redis: RedisService, queue: QueueService, meter: Meter | None = None) -> None:
    """Register an observable instrument for each number. Once per process: instruments cannot be taken back."""
    instruments = _Instruments(meter or get_meter(NAME))
    _watch_redis(instruments, redis, RedisMetrics(redis))
    _watch_queue(instruments, queue)


class _Instruments:
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def count(self, name: str, unit: str, read: Callable[[], int]) -> None:
        """What only grows."""
        self._meter.create_observable_counter(name, [_callback(read)], unit)

    def gauge(self, name: str, unit: str, read: Callable[[], int]) -> None:
        """What goes up and down."""
        self._meter.create_observable_gauge(name, [_callback(read)], unit)

    def count_by(self, name: str, unit: str, attribute: str, tally: Counter[str]) -> None:
        """What only grows, apart by an attribute."""

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(number, {attribute: kind}) for kind, number in tally.copy().items()]

        self._meter.create_observable_counter(name, [observe], unit)


def _watch_redis(instruments: _Instruments, redis: RedisService, metrics: RedisMetrics) -> None:
    counters = redis.counters
    instruments.gauge("redis.session.connections", "{connection}", lambda: metrics.connections)
    instruments.count("redis.session.connects", "{connection}", lambda: counters.connections_opened)
    instruments.count("redis.session.connects_failed", "{attempt}", lambda: counters.connects_failed)
    instruments.count("redis.session.recreates", "{connection}", lambda: counters.recreates)
    instruments.count("redis.session.pings", "{ping}", lambda: counters.pings)
    instruments.count("redis.session.operations", "{operation}", lambda: counters.commands)
    instruments.gauge("redis.session.in_flight", "{operation}", lambda: counters.in_flight)
    instruments.count("redis.session.commands", "{command}", lambda: metrics.commands)
    instruments.count("redis.session.batches", "{write}", lambda: metrics.batches)
    instruments.gauge("redis.session.largest_batch", "{command}", lambda: metrics.largest_batch)
    instruments.gauge("redis.session.backlog", "{command}", lambda: metrics.backlog)
    instruments.gauge("redis.session.backlog_bytes", "By", lambda: metrics.backlog_bytes)
    instruments.count_by("redis.session.unavailable", "{operation}", "error.type", metrics.unavailable)


def _watch_queue(instruments: _Instruments, queue: QueueService) -> None:
    counters = queue.counters
    instruments.count("servicebus.session.opened", "{sender}", lambda: counters.opened)
    instruments.count("servicebus.session.batches", "{batch}", lambda: counters.batches)
    instruments.count("servicebus.session.sent", "{message}", lambda: counters.sent)
    instruments.count("servicebus.session.failures", "{message}", lambda: counters.failures)
    instruments.gauge("servicebus.session.waiting", "{message}", lambda: queue.waiting)


def _callback(read: Callable[[], int]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: [Observation(read())]


def _both(first: Callable[P, None], second: Callable[P, None]) -> Callable[P, None]:
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        second(*args, **kwargs)  # ours first: it raises nothing
        first(*args, **kwargs)

    return call
