"""The instances of a run: started, drained, killed and frozen one by one.

Each is forked from one warm process (multiprocessing's fork server). Only processes that this fleet started are ever
signalled, and none outlives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
import os
import signal
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from lab.proof.fleet.forks import context
from lab.proof.fleet.instance import HOST, Group, Task, become
from lab.proof.tasks import certain, until

START_S = 60.0  # a crowd on two cores starts slowly
ANSWERED_S = 10.0  # for requests that the front has passed on
DRAIN_S = 45.0  # longer than the host gives its running calls


class FleetError(RuntimeError):
    """An instance did not start; the message says why."""


class State(enum.Enum):
    """Lifecycle of an instance."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    GONE = "gone"


@dataclass(eq=False)
class Instance:
    """One process of the fleet. `waiting`: requests that it has not answered; `suspect_until`: kept for the front."""

    number: int
    group: Group
    process: ForkServerProcess
    channel: Connection = field(repr=False)
    state: State = State.STARTING
    port: int = 0
    frozen: bool = False
    waiting: int = 0
    suspect_until: float = 0.0
    gone: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def pid(self) -> int:
        return int(self.process.pid or 0)

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}"


class Fleet:
    """`async with Fleet(task) as fleet:`; ends every instance on the way out."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._numbers = itertools.count(1)
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="fleet")  # the fork server takes one at a time
        self.instances: list[Instance] = []

    async def __aenter__(self) -> Fleet:
        return self

    async def __aexit__(self, *error: object) -> None:
        for instance in self.instances:
            self.kill(instance)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self.wait_gone(self.instances)
        for instance in self.instances:
            instance.channel.close()
        self._spawner.shutdown(wait=False)

    def of(self, group: Group, *states: State) -> list[Instance]:
        """The instances of a group, in these states (serving ones if left out)."""
        wanted = states or (State.SERVING,)
        return [instance for instance in self.instances if instance.group is group and instance.state in wanted]

    @property
    def alive(self) -> list[Instance]:
        """Every instance whose process there is, frozen ones included."""
        return [instance for instance in self.instances if instance.state is not State.GONE]

    async def grow(self, group: Group, count: int) -> list[Instance]:
        """Start instances and wait until they serve. Raises FleetError."""
        started = [await self._start(group) for _ in range(count)]
        for instance in started:
            await self._serving(instance)
        return started

    async def drain(self, instances: Iterable[Instance]) -> None:
        """Scale in: no new work from now on, running work is finished, then they go."""
        leaving = list(instances)
        for instance in leaving:
            instance.state = State.DRAINING
        await until(lambda: not any(instance.waiting for instance in leaving), ANSWERED_S)
        for instance in leaving:
            self._signal(instance, signal.SIGTERM)
        try:
            async with asyncio.timeout(DRAIN_S):
                await self.wait_gone(leaving)
        except TimeoutError:
            for instance in leaving:
                self.kill(instance)
            await self.wait_gone(leaving)

    def kill(self, instance: Instance) -> None:
        """SIGKILL, as a machine that vanishes: it closes nothing itself."""
        self._signal(instance, signal.SIGKILL)

    def freeze(self, instance: Instance) -> None:
        """SIGSTOP: its sockets stay open, nobody answers."""
        instance.frozen = True
        self._signal(instance, signal.SIGSTOP)

    def thaw(self, instance: Instance) -> None:
        instance.frozen = False
        self._signal(instance, signal.SIGCONT)

    async def wait_gone(self, instances: Iterable[Instance]) -> None:
        for instance in instances:
            await instance.gone.wait()

    async def _start(self, group: Group) -> Instance:
        ours, theirs = context.Pipe()
        process = context.Process(target=become, args=(self._task, group, theirs), name=group.value)
        loop = asyncio.get_running_loop()
        instance = Instance(next(self._numbers), group, process, ours)
        try:
            await certain(loop.run_in_executor(self._spawner, process.start))
        finally:
            theirs.close()
            if process.pid is not None:  # also if cancelled: nobody else would know of it
                self.instances.append(instance)
                loop.add_reader(process.sentinel, self._ended, instance)
        return instance

    async def _serving(self, instance: Instance) -> None:
        try:
            async with asyncio.timeout(START_S):
                answer = await _received(instance.channel)
        except (TimeoutError, EOFError, OSError) as error:
            answer = f"it said nothing ({type(error).__name__}); see {self._task.log}"
        if not isinstance(answer, int):
            raise FleetError(f"an instance of the group {instance.group} did not start: {answer}")
        instance.port = answer
        if instance.state is State.STARTING:
            instance.state = State.SERVING

    def _ended(self, instance: Instance) -> None:
        asyncio.get_running_loop().remove_reader(instance.process.sentinel)
        instance.process.join(1)
        instance.state = State.GONE
        instance.gone.set()

    @staticmethod
    def _signal(instance: Instance, number: signal.Signals) -> None:
        if instance.state is not State.GONE and instance.process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended: the fork server knows, we do not yet
                os.kill(instance.pid, number)


async def _received(channel: Connection) -> object:
    """The next object of a pipe, without a thread that waits for it."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    descriptor = channel.fileno()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
    return channel.recv()
