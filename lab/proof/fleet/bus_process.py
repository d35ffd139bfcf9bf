"""The local Service Bus as a process of its own that can be asked and made to fail: for runs that load both cores.

`python -m lab.azure.service_bus` is the same for people; here the lab holds a pipe to it. It ends when the lab does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import Any

from lab.azure.service_bus import Broker, QueueConfig
from lab.proof.fleet.forks import context, leashed
from lab.proof.tasks import certain

ANSWER_S = 15.0


class BusError(RuntimeError):
    """The Service Bus did not answer, or said why it could not."""


class BusProcess:
    """`async with BusProcess(queues) as bus:`; `bus.connection_string` is what the app is given."""

    def __init__(self, queues: Mapping[str, QueueConfig]) -> None:
        self._queues = dict(queues)
        self._caller = ThreadPoolExecutor(1, thread_name_prefix="bus")  # one question at a time
        self.connection_string = ""

    async def __aenter__(self) -> BusProcess:
        self._channel, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._queues), name="bus")
        try:
            await certain(asyncio.get_running_loop().run_in_executor(self._caller, self._process.start))
            theirs.close()
            self.connection_string = str(await self._answer())
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        self._channel.close()
        if self._process.pid is not None:
            self._process.terminate()
            await certain(asyncio.ensure_future(asyncio.to_thread(self._process.join, ANSWER_S)))
        self._caller.shutdown(wait=False)

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    async def ask(self, what: str, *arguments: object) -> Any:
        """An attribute of the `Broker`, or what its method returns: `await bus.ask("faults.mute")`. Raises BusError."""
        return await self._answer((what, arguments))

    async def _answer(self, question: object = None) -> Any:
        def talk() -> Any:
            if question is not None:
                self._channel.send(question)
            if not self._channel.poll(ANSWER_S):
                self._channel.close()  # a late answer would be taken for that to the next question
                raise BusError(f"the Service Bus did not answer within {ANSWER_S:g} s")
            return self._channel.recv()

        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._caller, talk)
        except (EOFError, OSError) as error:
            raise BusError(f"the Service Bus is gone: {type(error).__name__}") from error
        if isinstance(answer, Exception):
            raise BusError(f"{type(answer).__name__}: {answer}") from answer
        return answer


def _serve(channel: Connection, queues: Mapping[str, QueueConfig]) -> None:
    """Be the Service Bus until the other end of the channel is gone."""
    leashed()
    with Broker(queues) as broker:
        channel.send(broker.connection_string)
        while True:
            try:
                what, arguments = channel.recv()
                channel.send(_result(broker, what, arguments))
            except (EOFError, ConnectionError):
                return


def _result(broker: Broker, what: str, arguments: tuple[object, ...]) -> Any:
    try:
        found = attrgetter(what)(broker)
        return found(*arguments) if callable(found) else found
    except Exception as error:  # noqa: BLE001 - whoever asked is told
        return error
